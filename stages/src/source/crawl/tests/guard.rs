//! Addresses that must not be connected to.

use super::*;

#[test]
fn private_addresses_are_not_connected_to() {
    let site = Site::new(|_, _, out| html(out, "x"));
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "2130706433",
        "0x7f.1",
        "0",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::]",
    ] {
        let folder = Folder::new("guard");
        let seed = format!("http://{host}:{}/", site.port);
        let crawled = crawl(&site, &folder, Config { allow_private: false, ..config(seed) });
        assert!(crawled.rows.is_empty());
        assert_eq!(crawled.refused.values().collect::<Vec<_>>(), ["robots_unreachable"]);
    }
    assert!(site.asked().is_empty());
}

/// A redirect goes through the frontier like any link: scope first, then the guard of the test above.
#[test]
fn a_redirect_to_another_host_is_held_against_the_scope() {
    let inner = Site::new(|_, _, out| html(out, "secret"));
    static PORT: std::sync::OnceLock<u16> = std::sync::OnceLock::new();
    PORT.set(inner.port).unwrap();
    let site = Site::new(|path, _, out| {
        let port = PORT.get().unwrap();
        let to = match path {
            "/robots.txt" => return send(out, 404, "", b""),
            "/a" => format!("http://127.0.0.1:{port}/"),
            "/b" => format!("//[::ffff:127.0.0.1]:{port}/b"),
            "/c" => "http://169.254.169.254/latest".to_owned(),
            "/d" => "file:///etc/passwd".to_owned(),
            "/e" => "http://:99999/".to_owned(),
            _ => return html(out, "<a href=/a><a href=/b><a href=/c><a href=/d><a href=/e><a href=/f>"),
        };
        send(out, 302, &format!("location: {to}\r\n"), b"")
    });
    let folder = Folder::new("hop");
    let crawled = crawl(&site, &folder, config(site.url("/")));
    let reasons: Vec<(&str, &str)> = crawled
        .refused
        .iter()
        .map(|(url, reason)| {
            (url.split('/').nth(2).unwrap_or_default().split(':').next().unwrap(), reason.as_str())
        })
        .collect();
    assert_eq!(crawled.refused.values().filter(|r| *r == "out_of_scope").count(), 3, "{reasons:?}");
    assert_eq!(crawled.refused.values().filter(|r| *r == "redirect_invalid").count(), 2, "{reasons:?}");
    assert_eq!(crawled.rows["/f"], "kept");
    assert!(inner.asked().is_empty());
}
