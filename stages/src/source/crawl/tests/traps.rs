//! Answers that are broken, endless or hostile: each ends at a bound and costs nothing else.

use super::*;
use crate::source::coding::encode::{brotli, deflate, gzip, zlib, zstd};
use std::time::{Duration, Instant};

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

/// Answers that only the one page named here gives.
fn one_page(answer: Answer, more: Config) -> Crawled {
    let site = Site::new(answer);
    let folder = Folder::new(&format!("one-{}", site.port));
    let start = Instant::now();
    let crawled = crawl(&site, &folder, Config { seeds: vec![site.url("/")], ..more });
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    crawled
}

/// Writes an answer as it stands and closes the connection.
fn raw(path: &str, out: &mut TcpStream, bytes: &[u8]) -> bool {
    if path == "/robots.txt" {
        return send(out, 404, "", b"");
    }
    let _ = out.write_all(bytes);
    false
}

#[test]
fn broken_answers_are_cut_short() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n";
    let settings = || Config { retries_max: 0, ..config("http://a/".into()) };
    for (name, answer, expected) in [
        (
            "length too small",
            (|path, _, out| {
                raw(path, out, format!("{HEAD}content-length: 4\r\n\r\npage and more").as_bytes())
            }) as Answer,
            "kept",
        ),
        (
            "length too large",
            |path, _, out| raw(path, out, format!("{HEAD}content-length: 40\r\n\r\npage").as_bytes()),
            "truncated",
        ),
        (
            "no length",
            |path, _, out| raw(path, out, format!("{HEAD}connection: close\r\n\r\npage").as_bytes()),
            "kept",
        ),
        (
            "a chunk that breaks off",
            |path, _, out| {
                raw(path, out, format!("{HEAD}transfer-encoding: chunked\r\n\r\n9\r\npage").as_bytes())
            },
            "truncated",
        ),
        (
            "no last chunk",
            |path, _, out| {
                raw(path, out, format!("{HEAD}transfer-encoding: chunked\r\n\r\n4\r\npage\r\n").as_bytes())
            },
            "truncated",
        ),
        (
            "a chunk without a size",
            |path, _, out| {
                raw(
                    path,
                    out,
                    format!("{HEAD}transfer-encoding: chunked\r\n\r\n4\r\npage\r\nxyz\r\n").as_bytes(),
                )
            },
            "truncated",
        ),
        (
            "an unknown coding",
            |path, _, out| {
                raw(
                    path,
                    out,
                    format!("{HEAD}content-encoding: compress\r\ncontent-length: 4\r\n\r\npage").as_bytes(),
                )
            },
            "encoding",
        ),
        (
            "no body",
            |path, _, out| raw(path, out, format!("{HEAD}content-length: 0\r\n\r\n").as_bytes()),
            "empty",
        ),
    ] {
        let crawled = one_page(answer, settings());
        assert_eq!(crawled.rows.get("/").map(String::as_str), Some(expected), "{name}");
        if expected == "kept" {
            assert_eq!(crawled.html["/"], b"page", "{name}");
        }
    }
}

#[test]
fn answers_that_are_none_are_refused() {
    let settings = || Config { retries_max: 0, header_bytes_max: 2048, ..config("http://a/".into()) };
    for (name, answer, expected) in [
        ("no HTTP", (|path, _, out| raw(path, out, b"220 mail.example ESMTP\r\n\r\n")) as Answer, "network"),
        ("hung up", |path, _, out| raw(path, out, b""), "network"),
        ("half a head", |path, _, out| raw(path, out, b"HTTP/1.1 200 OK\r\ncontent-ty"), "network"),
        (
            "long header",
            |path, _, out| {
                raw(path, out, format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(4000)).as_bytes())
            },
            "header_too_large",
        ),
        (
            "endless header",
            |path, _, out| {
                raw(path, out, format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(2 << 20)).as_bytes())
            },
            "network",
        ),
        (
            "a thousand headers",
            |path, _, out| {
                raw(path, out, format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(1000)).as_bytes())
            },
            "network",
        ),
    ] {
        let crawled = one_page(answer, settings());
        assert_eq!(
            crawled.refused.get("/").map(String::as_str),
            Some(expected),
            "{name}: {:?}",
            crawled.refused
        );
        assert!(!crawled.rows.contains_key("/"), "{name}");
    }
}

#[test]
fn an_answer_in_drops_ends_at_the_time_limit() {
    fn drip(path: &str, out: &mut TcpStream, head: &str) -> bool {
        if path == "/robots.txt" {
            return send(out, 404, "", b"");
        }
        let _ = out.write_all(head.as_bytes());
        // Each byte comes well before any time-out of its own.
        while out.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
    let settings = || Config { retries_max: 0, timeout_ms: 300, ..config("http://a/".into()) };
    let body = one_page(
        |path, _, out| drip(path, out, "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n"),
        settings(),
    );
    assert_eq!(body.rows["/"], "truncated");
    let head = one_page(|path, _, out| drip(path, out, "HTTP/1.1 200 OK\r\nx: "), settings());
    check(&head.refused, &[("/", "timeout")]);
}

#[test]
fn an_endless_body_ends_at_its_bound() {
    let settings = Config { body_bytes_max: 100_000, ..config("http://a/".into()) };
    let crawled = one_page(
        |path, _, out| {
            if path == "/robots.txt" {
                return send(out, 404, "", b"");
            }
            let _ = out.write_all(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n",
            );
            while out.write_all(b"4\r\npage\r\n").is_ok() {}
            false
        },
        settings,
    );
    assert_eq!(crawled.rows["/"], "too_large");
    assert_eq!(crawled.html["/"].len(), 100_000);
}

#[test]
fn every_coding_of_a_body_is_undone() {
    let site = Site::new(|path, _, out| {
        const PAGE: &[u8] = b"<p>a page <a href=/end>";
        let coded = |out: &mut TcpStream, name: &str, body: &[u8]| {
            send(out, 200, &format!("content-type: text/html\r\ncontent-encoding: {name}\r\n"), body)
        };
        match path {
            "/" => html(
                out,
                "<a href=/gzip><a href=/br><a href=/zlib><a href=/deflate><a href=/zstd><a href=/two><a href=/three>",
            ),
            "/gzip" => coded(out, "gzip", &gzip(PAGE)),
            "/br" => coded(out, "br", &brotli(PAGE)),
            "/zlib" => coded(out, "deflate", &zlib(PAGE)),
            "/deflate" => coded(out, "deflate", &deflate(PAGE)),
            "/zstd" => coded(out, "zstd", &zstd(PAGE)),
            "/two" => coded(out, "gzip, br", &brotli(&gzip(PAGE))),
            "/three" => coded(out, "gzip, gzip, gzip", &gzip(&gzip(&gzip(PAGE)))),
            "/end" => html(out, "x"),
            _ => send(out, 404, "", b""),
        }
    });
    let folder = Folder::new("codings");
    let crawled = crawl(&site, &folder, config(site.url("/")));
    for path in ["/gzip", "/br", "/zlib", "/deflate", "/zstd", "/two"] {
        assert_eq!(
            (crawled.rows[path].as_str(), &crawled.html[path][..]),
            ("kept", &b"<p>a page <a href=/end>"[..]),
            "{path}"
        );
    }
    assert_eq!(crawled.rows["/three"], "encoding");
    assert_eq!(crawled.rows["/end"], "kept");
}
