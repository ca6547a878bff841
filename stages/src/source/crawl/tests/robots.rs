//! What robots.txt allows when it is there, when it is not, and when nobody can say.

use super::*;
use crate::source::coding::encode::{brotli, gzip, zstd};
use std::time::Duration;

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
        // Redirected to what cannot be had.
        |path, _, out| match path {
            "/robots.txt" => send(out, 302, "location: /other\r\n", b""),
            _ => send(out, 503, "", b""),
        },
        // Half a file says nothing about what its other half disallows.
        |_, _, out| {
            let _ = out.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nUser-agent: *\n");
            false
        },
        // Nor does one that cannot be decoded.
        |_, _, out| send(out, 200, "content-encoding: compress\r\n", b"User-agent: *\nAllow: /\n"),
        |_, _, out| {
            send(out, 200, "content-encoding: gzip\r\n", &gzip(b"User-agent: *\nDisallow: /\n")[..30])
        },
    ] {
        let (crawled, asked) = robots_site(answer);
        check(&crawled.refused, &[("/", "robots_unreachable")]);
        assert!(asked.iter().all(|path| path == "/robots.txt" || path == "/other"), "{asked:?}");
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
fn robots_are_followed_over_five_redirects_and_no_further() {
    fn answer(path: &str, last: usize, out: &mut TcpStream) -> bool {
        match path.strip_prefix("/r") {
            Some("obots.txt") => send(out, 302, "location: /r1\r\n", b""),
            Some(n) if n == last.to_string() => send(out, 200, "", b"User-agent: *\nDisallow: /a\n"),
            Some(n) => send(out, 307, &format!("location: /r{}\r\n", n.parse::<u32>().unwrap() + 1), b""),
            None => html(out, "<a href=/a>"),
        }
    }
    let (crawled, _) = robots_site(|path, _, out| answer(path, 5, out));
    check(&crawled.refused, &[("/a", "robots_denied")]);
    let (crawled, asked) = robots_site(|path, _, out| answer(path, 6, out));
    assert_eq!(crawled.rows["/a"], "kept");
    assert!(!asked.iter().any(|path| path == "/r6"), "{asked:?}");
}

#[test]
fn coded_robots_are_read() {
    const TEXT: &[u8] =
        b"\xef\xbb\xbfUser-agent: Mill\r\nDisallow: /*.php$\r\nAllow: /ok*.php\r\nDisallow: /a\r\n";
    for answer in [
        (|path, _, out| match path {
            "/robots.txt" => send(out, 200, "content-encoding: br\r\n", &brotli(TEXT)),
            _ => html(out, "<a href=/a><a href=/x.php><a href=/ok.php>"),
        }) as Answer,
        |path, _, out| match path {
            "/robots.txt" => send(out, 206, "content-encoding: zstd\r\n", &zstd(TEXT)),
            _ => html(out, "<a href=/a><a href=/x.php><a href=/ok.php>"),
        },
        |path, _, out| match path {
            "/robots.txt" => send(out, 200, "content-type: text/html\r\n", TEXT),
            _ => html(out, "<a href=/a><a href=/x.php><a href=/ok.php>"),
        },
    ] {
        let (crawled, _) = robots_site(answer);
        check(&crawled.refused, &[("/a", "robots_denied"), ("/x.php", "robots_denied")]);
        assert_eq!(crawled.rows["/ok.php"], "kept");
    }
}

#[test]
fn strict_robots_are_a_switch() {
    let answer: Answer = |path, _, out| match path {
        "/robots.txt" => send(out, 401, "", b""),
        _ => html(out, "x"),
    };
    for (robots_strict, expected) in [(true, vec![("/", "robots_denied")]), (false, vec![])] {
        let (site, folder) = (Site::new(answer), Folder::new(&format!("strict-{robots_strict}")));
        let crawled = crawl(&site, &folder, Config { robots_strict, ..config(site.url("/")) });
        check(&crawled.refused, &expected);
    }
}
