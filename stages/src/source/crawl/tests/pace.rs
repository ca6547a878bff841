//! Pauses that hosts ask for, and those that a server gets unasked.

use super::*;
use std::time::{Duration, Instant};

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
fn a_date_of_retry_after_is_waited_for() {
    let site = Site::new(|path, times, out| match path {
        "/robots.txt" => send(out, 404, "", b""),
        // A date has whole seconds: two later is at least one from here.
        "/" if times == 1 => {
            let at = std::time::SystemTime::now() + Duration::from_secs(2);
            send(out, 429, &format!("retry-after: {}\r\n", http_date(at)), b"")
        }
        _ => html(out, "x"),
    });
    let (folder, start) = (Folder::new("date"), Instant::now());
    let crawled = crawl(&site, &folder, config(site.url("/")));
    assert!(start.elapsed() >= Duration::from_millis(950), "{:?}", start.elapsed());
    assert_eq!(crawled.rows["/"], "kept");
}

/// The form of RFC 9110 without the day of the week, which readers pass over.
fn http_date(at: std::time::SystemTime) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let text = date::rfc3339(at);
    let month: usize = text[5..7].parse().unwrap();
    format!("{} {} {} {} GMT", &text[8..10], MONTHS[month - 1], &text[..4], &text[11..19])
}

/// Two sites on two ports of one address: each has its own pause, and the address has one for both.
#[test]
fn sites_on_one_address_share_its_pace() {
    type Moments = Mutex<Vec<Instant>>;
    static ASKED: Moments = Mutex::new(Vec::new());
    let answer: Answer = |path, _, out| {
        ASKED.lock().unwrap().push(Instant::now());
        match path {
            "/robots.txt" => send(out, 404, "", b""),
            "/" => html(out, "<a href=/a>"),
            _ => html(out, "x"),
        }
    };
    let sites: Vec<Site> = (0..4).map(|_| Site::new(answer)).collect();
    let folder = Folder::new("address");
    let config = Config {
        seeds: sites.iter().map(|site| site.url("/")).collect(),
        hosts: sites.iter().map(|site| format!("127.0.0.1:{}", site.port)).collect(),
        delay_ms: 1,
        latency_factor: 0.0,
        ip_delay_ms: 60,
        ..config(String::new())
    };
    let crawled = crawl(&sites[0], &folder, config);
    assert_eq!(crawled.rows.values().filter(|word| *word == "kept").count(), 8);
    let asked = ASKED.lock().unwrap();
    assert_eq!(asked.len(), 12);
    let took = asked[11].duration_since(asked[0]);
    // Eleven pauses of 60 ms between the starts; the moments of arrival may shift by less than one.
    assert!(took >= Duration::from_millis(600), "{took:?}");
}

#[test]
fn sites_on_one_address_share_its_connections() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static OPEN: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let answer: Answer = |path, _, out| {
        MOST.fetch_max(OPEN.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(20));
        OPEN.fetch_sub(1, Ordering::SeqCst);
        match path {
            "/robots.txt" => send(out, 404, "", b""),
            _ => html(out, "<a href=/a><a href=/b>"),
        }
    };
    let sites: Vec<Site> = (0..6).map(|_| Site::new(answer)).collect();
    let folder = Folder::new("connections");
    let config = Config {
        seeds: sites.iter().map(|site| site.url("/")).collect(),
        hosts: sites.iter().map(|site| format!("127.0.0.1:{}", site.port)).collect(),
        host_connections: 1,
        ip_connections: 2,
        ..config(String::new())
    };
    let crawled = crawl(&sites[0], &folder, config);
    assert_eq!(crawled.rows.values().filter(|word| *word == "kept").count(), 18);
    assert_eq!(MOST.load(Ordering::SeqCst), 2);
}
