//! Whole crawls of small sites on loopback: one file a subject, what they share here.

mod guard;
mod opt_out;
mod pace;
mod resume;
mod robots;
mod sitemaps;
mod speed;
mod traps;

use super::*;
use schemas::{Event, Observer, Verdict};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Mutex;

/// A web site on loopback: every request is logged and answered by one function of path and how often it was asked.
struct Site {
    port: u16,
    log: Arc<Mutex<Vec<String>>>,
}

type Answer = fn(&str, usize, &mut TcpStream) -> bool;

impl Site {
    fn new(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let log = Arc::new(Mutex::new(Vec::new()));
        let shared = log.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = shared.clone();
                std::thread::spawn(move || connection(stream, answer, &log));
            }
        });
        Self { port, log }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn asked(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

fn connection(mut stream: TcpStream, answer: Answer, log: &Mutex<Vec<String>>) {
    let (mut request, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let Ok(count) = stream.read(&mut buffer) else { return };
        if count == 0 {
            return;
        }
        request.extend_from_slice(&buffer[..count]);
        if !request.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8(std::mem::take(&mut request)).unwrap();
        let path = text.split(' ').nth(1).unwrap().to_owned();
        let times = {
            let mut log = log.lock().unwrap();
            log.push(path.clone());
            log.iter().filter(|p| **p == path).count()
        };
        if !answer(&path, times, &mut stream) {
            return;
        }
    }
}

/// Sends an answer; false closes the connection.
fn send(stream: &mut TcpStream, status: u16, headers: &str, body: &[u8]) -> bool {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).is_ok() && stream.write_all(body).is_ok()
}

fn html(stream: &mut TcpStream, body: &str) -> bool {
    send(stream, 200, "content-type: text/html\r\n", body.as_bytes())
}

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Observer for Notes {
    fn event(&self, event: Event<'_>) {
        if let Event::Note { message } = event {
            self.0.lock().unwrap().push(message.to_owned());
        }
    }
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("gristmill-crawl-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl std::ops::Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config(seed: String) -> Config {
    Config {
        seeds: vec![seed],
        user_agent: "mill/1.0 (+https://example.org/bot)".into(),
        allow_private: true,
        delay_ms: 0,
        host_connections: 4,
        retry_ms: 10,
        timeout_ms: 400,
        sitemaps: false,
        opt_out_files: false,
        ..Config::default()
    }
}

struct Crawled {
    /// Verdict by path: `kept` or the reason.
    rows: BTreeMap<String, String>,
    /// Reason by path or address.
    refused: BTreeMap<String, String>,
    html: BTreeMap<String, Vec<u8>>,
    /// The column `opt_out` by path, where it is not null.
    opt_outs: BTreeMap<String, String>,
}

fn crawl(site: &Site, folder: &Folder, config: Config) -> Crawled {
    let settings = Arc::new(Settings::new(config).map_err(|e| format!("{e:?}")).unwrap());
    run::crawl(&settings, &folder.0, &Notes::default(), u64::MAX).unwrap();
    read_back(site, folder, &settings)
}

fn read_back(site: &Site, folder: &Folder, settings: &Settings) -> Crawled {
    let short = |url: &str| url.strip_prefix(&site.url("")).unwrap_or(url).to_owned();
    let (mut rows, mut html, mut opt_outs) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for split in read::splits(settings, &folder.0).unwrap() {
        for intake in read::rows(settings, &split).unwrap() {
            let intake = intake.unwrap();
            let urls = schemas::column::utf8(&intake.batch, "url").unwrap();
            let bodies = schemas::column::binary(&intake.batch, "html").unwrap();
            let opted = schemas::column::utf8(&intake.batch, "opt_out").unwrap();
            for (at, verdict) in intake.verdicts.iter().enumerate() {
                let word = match verdict {
                    Verdict::Dropped { reason, .. } => reason,
                    _ => "kept",
                };
                rows.insert(short(urls.value(at)), word.to_owned());
                if let Some(words) = opted.iter().nth(at).flatten() {
                    opt_outs.insert(short(urls.value(at)), words.to_owned());
                }
                html.insert(short(urls.value(at)), bodies.value(at).to_owned());
            }
        }
    }
    let text = std::fs::read_to_string(folder.0.join(settings.hash()).join("refused.jsonl")).unwrap();
    let lines = text.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    let refused = lines
        .map(|l| (short(l["url"].as_str().unwrap()), l["reason"].as_str().unwrap().to_owned()))
        .collect();
    Crawled { rows, refused, html, opt_outs }
}

fn check(found: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    let found: Vec<(&str, &str)> = found.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(found, expected);
}
