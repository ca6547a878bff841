//! Pages a second, measured by hand.

use super::*;
use std::time::Instant;

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
