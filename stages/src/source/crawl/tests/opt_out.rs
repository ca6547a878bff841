//! Authors who opt out of machine learning: told in the column `opt_out`, dropped unless the recipe says otherwise.

use super::*;

fn site(path: &str, _: usize, out: &mut TcpStream) -> bool {
    let header = |out: &mut TcpStream, line: &str| {
        send(out, 200, &format!("content-type: text/html\r\n{line}\r\n"), b"<p>a page")
    };
    match path {
        "/robots.txt" => send(out, 404, "", b""),
        "/" => html(out, "<a href=/plain><a href=/a><a href=/b><a href=/c><a href=/d><a href=/e><a href=/f>"),
        "/a" => header(out, "x-robots-tag: noai, noimageai"),
        "/b" => header(out, "TDM-Reservation: 1"),
        "/c" => html(out, "<meta name='tdm-reservation' content='1'><meta name=robots content=noai>"),
        "/d" => header(out, "x-robots-tag: otherbot: noai"),
        "/e" => header(out, "tdm-reservation: 0"),
        "/f" => html(out, "<meta name=mill content='NOAI'>"),
        _ => html(out, "<p>a page"),
    }
}

#[test]
fn opt_outs_are_obeyed_and_told() {
    let site = Site::new(site);
    let told = [
        ("/a", "noai, noimageai"),
        ("/b", "tdm-reservation"),
        ("/c", "noai, tdm-reservation"),
        ("/f", "noai"),
    ];
    for respect_opt_out in [true, false] {
        let folder = Folder::new(&format!("opt-out-{respect_opt_out}"));
        let crawled = crawl(&site, &folder, Config { respect_opt_out, ..config(site.url("/")) });
        check(&crawled.opt_outs, &told);
        for path in ["/a", "/b", "/c", "/f"] {
            assert_eq!(crawled.rows[path], if respect_opt_out { "opt_out" } else { "kept" }, "{path}");
        }
        for path in ["/", "/plain", "/d", "/e"] {
            assert_eq!(crawled.rows[path], "kept", "{path}");
        }
    }
}

#[test]
fn a_content_signal_of_robots_is_kept_with_each_page() {
    let answer: Answer = |path, _, out| match path {
        "/robots.txt" => {
            send(out, 200, "", b"User-agent: *\nContent-Signal: search=yes,ai-train=no\nDisallow: /x\n")
        }
        "/" => html(out, "<a href=/a><a href=/x>"),
        _ => html(out, "<meta name=robots content=noai>"),
    };
    let (site, folder) = (Site::new(answer), Folder::new("signal"));
    let crawled = crawl(&site, &folder, Config { respect_opt_out: false, ..config(site.url("/")) });
    check(&crawled.opt_outs, &[("/", "content-signal"), ("/a", "noai, content-signal")]);
    check(&crawled.refused, &[("/x", "robots_denied")]);
    assert_eq!(crawled.rows["/"], "kept");
    let folder = Folder::new("signal-obeyed");
    let crawled = crawl(&site, &folder, config(site.url("/")));
    assert_eq!((crawled.rows["/"].as_str(), crawled.rows["/a"].as_str()), ("opt_out", "opt_out"));
}

/// A site that speaks in files: `/tdm` is reserved, HTML below `/ai` is not to be trained on.
fn files(path: &str, times: usize, out: &mut TcpStream) -> bool {
    match path {
        "/robots.txt" => send(out, 404, "", b""),
        // Once too busy: it is asked again before any page.
        "/.well-known/tdmrep.json" if times == 1 => send(out, 503, "", b""),
        "/.well-known/tdmrep.json" => send(out, 301, "location: /moved.json\r\n", b""),
        "/moved.json" => send(out, 200, "", b"[{\"location\": \"/tdm\", \"tdm-reservation\": 1}]"),
        "/ai.txt" => send(out, 200, "", b"User-Agent: *\nDisallow: /ai*.html\n"),
        "/" => html(out, "<a href=/tdm><a href=/tdm/free><a href=/tdm/meta><a href=/ai>"),
        "/tdm/free" => send(out, 200, "content-type: text/html\r\ntdm-reservation: 0\r\n", b"<p>a page"),
        "/tdm/meta" => html(out, "<meta name=tdm-reservation content=0><p>a page"),
        _ => html(out, "<p>a page"),
    }
}

#[test]
fn files_of_a_site_are_asked_for_first_and_obeyed() {
    let (site, folder) = (Site::new(files), Folder::new("opt-out-files"));
    let asking = |respect_opt_out| Config { opt_out_files: true, respect_opt_out, ..config(site.url("/")) };
    let crawled = crawl(&site, &folder, asking(true));
    let first = [
        "/robots.txt",
        "/.well-known/tdmrep.json",
        "/.well-known/tdmrep.json",
        "/moved.json",
        "/ai.txt",
        "/",
    ];
    assert_eq!(site.asked()[..first.len()], first);
    check(&crawled.opt_outs, &[("/ai", "ai-txt"), ("/tdm", "tdm-reservation")]);
    assert_eq!(crawled.rows["/tdm"], "opt_out");
    assert_eq!(crawled.rows["/ai"], "opt_out");
    for path in ["/", "/tdm/free", "/tdm/meta"] {
        assert_eq!(crawled.rows[path], "kept", "{path}");
    }
    assert_eq!(crawled.rows["/ai.txt"], "not_html");
    let (site, folder) = (Site::new(files), Folder::new("opt-out-files-off"));
    let crawled = crawl(&site, &folder, config(site.url("/")));
    assert!(crawled.opt_outs.is_empty() && !site.asked().contains(&"/ai.txt".to_owned()));
}

#[test]
fn files_that_cannot_be_had_say_nothing() {
    let answer: Answer = |path, _, out| match path {
        "/robots.txt" => send(out, 200, "", b"User-agent: *\nDisallow: /ai.txt\n"),
        "/.well-known/tdmrep.json" => false,
        _ => html(out, "User-Agent: *\nDisallow: /\n"),
    };
    let (site, folder) = (Site::new(answer), Folder::new("opt-out-none"));
    let config = Config { opt_out_files: true, retries_max: 1, ..config(site.url("/")) };
    let crawled = crawl(&site, &folder, config);
    assert_eq!(crawled.rows["/"], "kept");
    assert!(!site.asked().contains(&"/ai.txt".to_owned()));
}
