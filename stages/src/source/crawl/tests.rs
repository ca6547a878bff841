//! Whole crawls of small sites on loopback, traps included.

use super::*;
use crate::source::warc::write::file_name;
use schemas::{Event, Observer, Verdict};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

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
        ..Config::default()
    }
}

struct Crawled {
    /// Verdict by path: `kept` or the reason.
    rows: BTreeMap<String, String>,
    /// Reason by path or address.
    refused: BTreeMap<String, String>,
    html: BTreeMap<String, Vec<u8>>,
}

fn crawl(site: &Site, folder: &Folder, config: Config) -> Crawled {
    let settings = Arc::new(Settings::new(config).map_err(|e| format!("{e:?}")).unwrap());
    run::crawl(&settings, &folder.0, &Notes::default(), u64::MAX).unwrap();
    read_back(site, folder, &settings)
}

fn read_back(site: &Site, folder: &Folder, settings: &Settings) -> Crawled {
    let short = |url: &str| url.strip_prefix(&site.url("")).unwrap_or(url).to_owned();
    let (mut rows, mut html) = (BTreeMap::new(), BTreeMap::new());
    for split in read::splits(settings, &folder.0).unwrap() {
        for intake in read::rows(settings, &split).unwrap() {
            let intake = intake.unwrap();
            let urls = schemas::column::utf8(&intake.batch, "url").unwrap();
            let bodies = schemas::column::binary(&intake.batch, "html").unwrap();
            for (at, verdict) in intake.verdicts.iter().enumerate() {
                let word = match verdict {
                    Verdict::Dropped { reason, .. } => reason,
                    _ => "kept",
                };
                rows.insert(short(urls.value(at)), word.to_owned());
                html.insert(short(urls.value(at)), bodies.value(at).to_owned());
            }
        }
    }
    let text = std::fs::read_to_string(folder.0.join(settings.hash()).join("refused.jsonl")).unwrap();
    let lines = text.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    let refused = lines
        .map(|l| (short(l["url"].as_str().unwrap()), l["reason"].as_str().unwrap().to_owned()))
        .collect();
    Crawled { rows, refused, html }
}

fn check(found: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    let found: Vec<(&str, &str)> = found.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(found, expected);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn traps(path: &str, times: usize, out: &mut TcpStream) -> bool {
    match path {
        "/robots.txt" => send(out, 200, "", b"User-agent: *\nDisallow: /secret\n"),
        "/" => html(
            out,
            "<a href=/ok><a href=/secret><a href=/gone><a href=/bomb><a href=/gzip><a href=/short><a href=/slow>
             <a href=/loop><a href=/busy><a href=/private><a href=/meta><a href=/image><a href=/x.png>
             <a href=/big><a href=/chunked><a href=/noindex><a href=http://other.org/>",
        ),
        "/gone" => send(out, 404, "content-type: text/html\r\n", b"gone"),
        "/gzip" => send(out, 200, "content-type: text/html\r\ncontent-encoding: gzip\r\n", &gzip(b"<a href=/zipped>")),
        "/bomb" => {
            send(out, 200, "content-type: text/html\r\ncontent-encoding: gzip\r\n", &gzip(&vec![b' '; 9 << 20]))
        }
        "/short" => {
            let _ = out.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 99\r\n\r\nhalf");
            false
        }
        "/slow" => {
            let _ = out.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 99\r\n\r\nhalf");
            std::thread::sleep(Duration::from_millis(600));
            false
        }
        "/loop" => send(out, 302, "location: /loop2\r\n", b""),
        "/loop2" => send(out, 302, "location: /loop\r\n", b""),
        "/busy" if times < 3 => send(out, 429, "retry-after: 0\r\n", b""),
        "/private" => send(out, 302, "location: http://169.254.169.254/latest\r\n", b""),
        "/meta" => html(out, "<meta name=robots content=nofollow><a href=/hidden>"),
        "/noindex" => html(out, "<meta name=robots content=noindex><a href=/behind>"),
        "/image" => send(out, 200, "content-type: image/png\r\n", &vec![0; 100_000]),
        "/big" => send(out, 200, "content-type: text/html\r\n", &vec![b'x'; 3 << 20]),
        "/chunked" => out
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n")
            .is_ok(),
        _ => html(out, "<p>a page"),
    }
}

#[test]
fn a_site_with_traps() {
    let site = Site::new(traps);
    let folder = Folder::new("traps");
    let config = Config { retries_max: 2, body_bytes_max: 2 << 20, ..config(site.url("/#top")) };
    let crawled = crawl(&site, &folder, config);
    check(
        &crawled.rows,
        &[
            ("/", "kept"),
            ("/behind", "kept"),
            ("/big", "too_large"),
            ("/bomb", "too_large"),
            ("/busy", "kept"),
            ("/chunked", "kept"),
            ("/gone", "status"),
            ("/gzip", "kept"),
            ("/image", "not_html"),
            ("/loop", "status"),
            ("/loop2", "status"),
            ("/meta", "kept"),
            ("/noindex", "noindex"),
            ("/ok", "kept"),
            ("/private", "status"),
            ("/robots.txt", "not_html"),
            ("/short", "truncated"),
            ("/slow", "truncated"),
            ("/zipped", "kept"),
        ],
    );
    check(
        &crawled.refused,
        &[
            ("/secret", "robots_denied"),
            ("/short", "network"),
            ("/slow", "network"),
            ("/x.png", "extension"),
            ("http://169.254.169.254/latest", "out_of_scope"),
            ("http://other.org/", "out_of_scope"),
        ],
    );
    assert_eq!(crawled.html["/gzip"], b"<a href=/zipped>");
    assert_eq!(crawled.html["/chunked"], b"abcd");
    assert!(!site.asked().iter().any(|path| path == "/secret" || path == "/hidden"));
}

fn robots_site(answer: Answer) -> (Crawled, Vec<String>) {
    let site = Site::new(answer);
    let folder = Folder::new(&format!("robots-{}", site.port));
    let crawled = crawl(&site, &folder, Config { retries_max: 1, timeout_ms: 200, ..config(site.url("/")) });
    (crawled, site.asked())
}

#[test]
fn robots_that_cannot_be_had_disallow() {
    for answer in [
        (|path, _, out| path != "/robots.txt" || send(out, 503, "", b"")) as Answer,
        |_, _, out| send(out, 500, "", b""),
        |_, _, out| send(out, 429, "", b""),
        |_, _, _| {
            std::thread::sleep(Duration::from_millis(400));
            false
        },
        |_, _, _| false,
    ] {
        let (crawled, asked) = robots_site(answer);
        check(&crawled.refused, &[("/", "robots_unreachable")]);
        assert!(asked.iter().all(|path| path == "/robots.txt"), "{asked:?}");
    }
}

#[test]
fn robots_that_are_not_there_allow() {
    for answer in [
        (|path, _, out| match path {
            "/robots.txt" => send(out, 404, "", b""),
            _ => html(out, "x"),
        }) as Answer,
        |path, _, out| match path {
            "/robots.txt" => send(out, 403, "", b""),
            _ => html(out, "x"),
        },
        |path, _, out| match path {
            "/" => html(out, "x"),
            _ => send(out, 301, "location: /robots.txt\r\n", b""),
        },
        |path, times, out| match path {
            "/robots.txt" if times == 1 => send(out, 503, "", b""),
            "/robots.txt" => send(out, 200, "", b""),
            _ => html(out, "x"),
        },
    ] {
        let (crawled, asked) = robots_site(answer);
        assert_eq!(crawled.rows["/"], "kept");
        assert!(asked.iter().filter(|path| *path == "/robots.txt").count() <= 6, "{asked:?}");
    }
}

#[test]
fn long_and_moved_robots_are_read() {
    let (crawled, asked) = robots_site(|path, _, out| match path {
        "/robots.txt" => send(out, 302, "location: /other\r\n", b""),
        "/other" => {
            let mut body = b"User-agent: *\nDisallow: /a\n".to_vec();
            body.resize(600 << 10, b'#');
            body.extend_from_slice(b"\nDisallow: /b\n");
            send(out, 200, "", &body)
        }
        _ => html(out, "<a href=/a><a href=/b>"),
    });
    check(&crawled.refused, &[("/a", "robots_denied")]);
    assert!(asked.iter().any(|path| path == "/b"));
}

#[test]
fn retry_after_and_crawl_delay_are_waited_for() {
    let site = Site::new(|path, times, out| match path {
        "/robots.txt" => send(out, 200, "", b"User-agent: mill\nCrawl-delay: 0.2\n"),
        "/a" if times == 1 => send(out, 503, "retry-after: 1\r\n", b""),
        _ => html(out, "<a href=/a><a href=/b>"),
    });
    let (folder, start) = (Folder::new("pace"), Instant::now());
    let crawled = crawl(&site, &folder, config(site.url("/")));
    assert!(start.elapsed() >= Duration::from_millis(1600), "{:?}", start.elapsed());
    assert!(crawled.refused.is_empty());
    let site = Site::new(|_, _, out| send(out, 503, "retry-after: 99999\r\n", b""));
    let folder = Folder::new("never");
    assert!(crawl(&site, &folder, config(site.url("/"))).rows.len() == 1);
}

#[test]
fn an_endless_site_ends_at_its_bounds() {
    let site = Site::new(|path, _, out| {
        let path = path.trim_end_matches('/');
        html(out, &format!("<a href='{path}/1/'><a href='{path}/2/'>"))
    });
    let folder = Folder::new("endless");
    let crawled = crawl(&site, &folder, Config { pages_max: 40, ..config(site.url("/")) });
    assert_eq!(crawled.rows.values().filter(|word| *word == "kept").count(), 40);
    let folder = Folder::new("deep");
    let crawled = crawl(&site, &folder, Config { depth_max: 2, ..config(site.url("/")) });
    assert_eq!(crawled.rows.values().filter(|word| *word == "kept").count(), 7);
    assert!(crawled.refused.values().all(|reason| reason == "too_deep"));
    let folder = Folder::new("budget");
    let crawled = crawl(&site, &folder, Config { pages_per_host_max: 5, ..config(site.url("/")) });
    assert_eq!(crawled.rows.values().filter(|word| *word == "kept").count(), 5);
}

#[test]
fn private_addresses_are_not_connected_to() {
    let site = Site::new(|_, _, out| html(out, "x"));
    for host in ["127.0.0.1", "localhost", "[::1]", "2130706433"] {
        let folder = Folder::new("guard");
        let seed = format!("http://{host}:{}/", site.port);
        let crawled = crawl(&site, &folder, Config { allow_private: false, ..config(seed) });
        assert!(crawled.rows.is_empty());
        assert_eq!(crawled.refused.values().collect::<Vec<_>>(), ["robots_unreachable"]);
    }
    assert!(site.asked().is_empty());
}

#[test]
fn sitemaps_lead_to_pages() {
    let site = Site::new(|path, _, out| match path {
        "/robots.txt" => send(out, 200, "", b"Sitemap: /index.xml\n"),
        "/index.xml" => {
            let body = "<sitemapindex><loc>/one.xml.gz</loc><loc>/two.txt</loc><loc>http://other.org/</loc>";
            send(out, 200, "", body.as_bytes())
        }
        "/one.xml.gz" => send(out, 200, "", &gzip(b"<urlset><loc>/a</loc><loc>http://other.org/b</loc>")),
        "/two.txt" => send(out, 200, "", b"http://other.org/c\n"),
        _ => html(out, "x"),
    });
    let folder = Folder::new("sitemap");
    let crawled = crawl(&site, &folder, Config { sitemaps: true, ..config(site.url("/")) });
    assert_eq!(crawled.rows["/a"], "kept");
    check(
        &crawled.refused,
        &[
            ("http://other.org/", "out_of_scope"),
            ("http://other.org/b", "out_of_scope"),
            ("http://other.org/c", "out_of_scope"),
        ],
    );
}

/// 100 pages, each linking to the next ten.
fn numbered(path: &str, _: usize, out: &mut TcpStream) -> bool {
    if path == "/robots.txt" {
        return send(out, 404, "", b"");
    }
    let number: u32 = path[1..].parse().unwrap_or(0);
    let links: String =
        (number + 1..number + 11).filter(|n| *n < 100).map(|n| format!("<a href=/{n}>")).collect();
    html(out, &format!("<p>{links}"))
}

#[test]
fn a_killed_crawl_goes_on_and_fetches_nothing_twice() {
    let (site, folder) = (Site::new(numbered), Folder::new("kill"));
    let settings = Config { warc_bytes_max: 8 << 10, concurrency: 1, ..config(site.url("/0")) };
    let settings = Arc::new(Settings::new(settings).map_err(|e| format!("{e:?}")).unwrap());
    let path = folder.0.join(settings.hash());
    let mut archived = 0;
    for _ in 0..20 {
        run::crawl(&settings, &folder.0, &Notes::default(), 9).unwrap();
        let numbers: Vec<u32> = (0..99).filter(|n| path.join(file_name(*n)).exists()).collect();
        // What a kill in the middle of a write leaves: half a record, half a line.
        for (file, half) in [
            (file_name(*numbers.last().unwrap()), &b"\x1f\x8b\x08half"[..]),
            ("frontier.log".into(), b"+\tpa"),
        ] {
            std::fs::OpenOptions::new().append(true).open(path.join(file)).unwrap().write_all(half).unwrap();
        }
        archived += 1;
        if archive::is_complete(&path) {
            break;
        }
    }
    assert!(archived > 5);
    run::crawl(&settings, &folder.0, &Notes::default(), u64::MAX).unwrap();
    let crawled = read_back(&site, &folder, &settings);
    assert_eq!(crawled.rows.values().filter(|word| *word == "kept").count(), 100);
    let mut pages: Vec<String> = site.asked().into_iter().filter(|p| p != "/robots.txt").collect();
    let asked = pages.len();
    pages.sort();
    pages.dedup();
    assert_eq!((pages.len(), asked), (100, 100));
    let before = site.asked().len();
    run::crawl(&settings, &folder.0, &Notes::default(), u64::MAX).unwrap();
    assert_eq!(site.asked().len(), before);
}

#[test]
fn a_damaged_tail_is_fetched_again() {
    let (site, folder) = (Site::new(numbered), Folder::new("tail"));
    let settings = Settings::new(config(site.url("/0"))).map_err(|e| format!("{e:?}")).unwrap();
    let settings = Arc::new(settings);
    run::crawl(&settings, &folder.0, &Notes::default(), 50).unwrap();
    let path = folder.0.join(settings.hash()).join(file_name(0));
    let length = std::fs::metadata(&path).unwrap().len();
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(length - 5000)).unwrap();
    file.write_all(&[0; 5000]).unwrap();
    run::crawl(&settings, &folder.0, &Notes::default(), u64::MAX).unwrap();
    let crawled = read_back(&site, &folder, &settings);
    assert_eq!(crawled.rows.values().filter(|word| *word == "kept").count(), 100);
    assert!(!crawled.rows.values().any(|word| word == "broken_record"));
}

#[test]
fn a_second_process_is_refused() {
    let (site, folder) = (Site::new(numbered), Folder::new("lock"));
    let settings = Arc::new(Settings::new(config(site.url("/0"))).map_err(|e| format!("{e:?}")).unwrap());
    let held = archive::Archive::open(&folder.0.join(settings.hash()), &settings).unwrap();
    let error = run::crawl(&settings, &folder.0, &Notes::default(), u64::MAX).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    drop(held);
}

#[test]
fn splits_are_stable_and_cover_every_record() {
    let (site, folder) = (Site::new(numbered), Folder::new("splits"));
    let settings = Config { warc_bytes_max: 8 << 10, ..config(site.url("/0")) };
    let settings = Arc::new(Settings::new(settings).map_err(|e| format!("{e:?}")).unwrap());
    let unfinished = read::splits(&settings, &folder.0).unwrap_err();
    assert!(unfinished.to_string().contains("not complete"), "{unfinished}");
    run::crawl(&settings, &folder.0, &Notes::default(), u64::MAX).unwrap();
    let splits = read::splits(&settings, &folder.0).unwrap();
    assert!(splits.len() > 3);
    assert_eq!(splits, read::splits(&settings, &folder.0).unwrap());
    let rows = splits.iter().flat_map(|s| read::rows(&settings, s).unwrap());
    assert_eq!(rows.map(|intake| intake.unwrap().batch.num_rows()).sum::<usize>(), 101);
}

/// The Rust documentation of the toolchain over loopback: prints pages per second and keeps the archive.
#[test]
#[ignore = "takes long in the dev profile; run by hand to measure"]
fn speed_on_the_rust_documentation() {
    fn docs(path: &str, _: usize, out: &mut TcpStream) -> bool {
        static ROOT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
        let root = ROOT.get_or_init(|| {
            let printed = std::process::Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
            PathBuf::from(String::from_utf8(printed.stdout).unwrap().trim()).join("share/doc/rust/html")
        });
        let mut file = root.join(path.split('?').next().unwrap().trim_start_matches('/'));
        if file.is_dir() {
            file = file.join("index.html");
        }
        match std::fs::read(&file) {
            Ok(body) if path.ends_with(".txt") => send(out, 200, "content-type: text/plain\r\n", &body),
            Ok(body) => html_bytes(out, &body),
            Err(_) => send(out, 404, "", b""),
        }
    }
    fn html_bytes(out: &mut TcpStream, body: &[u8]) -> bool {
        send(out, 200, "content-type: text/html\r\n", body)
    }
    let (site, folder) = (Site::new(docs), std::env::temp_dir().join("gristmill-crawl-docs"));
    let _ = std::fs::remove_dir_all(&folder);
    let pages_max = 3000;
    let config =
        Config { pages_max, host_connections: 8, timeout_ms: 10_000, ..config(site.url("/std/index.html")) };
    let settings = Arc::new(Settings::new(config).map_err(|e| format!("{e:?}")).unwrap());
    let start = Instant::now();
    let notes = Notes::default();
    run::crawl(&settings, &folder, &notes, u64::MAX).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("{:?}: {:.0} pages/s", notes.0.lock().unwrap(), pages_max as f64 / seconds);
    let start = Instant::now();
    let splits = read::splits(&settings, &folder).unwrap();
    let rows = splits.iter().flat_map(|s| read::rows(&settings, s).unwrap()).map(Result::unwrap);
    let kept: usize = rows.map(|i| i.verdicts.iter().filter(|v| **v == Verdict::Kept).count()).sum();
    eprintln!("{kept} pages read from {} splits in {:.2} s", splits.len(), start.elapsed().as_secs_f64());
}
