//! Archives as they are found: whole, cut, recompressed, lying about their lengths.

use super::*;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{Cursor, Write};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn record(kind: &str, url: &str, block: &[u8], length: usize) -> Vec<u8> {
    let head = format!(
        "WARC/1.1\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nWARC-Date: 2024-01-02T03:04:05Z\r\nContent-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), block, b"\r\n\r\n"].concat()
}

fn page(url: &str, status: u16, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n\r\n");
    let block = [head.as_bytes(), body].concat();
    record("response", url, &block, block.len())
}

/// A good page whose address is a letter.
fn good(url: &str) -> Vec<u8> {
    page(&format!("http://{url}/"), 200, "text/html", format!("<p>{url}").as_bytes())
}

fn words(bytes: &[u8]) -> Vec<String> {
    let mut reader = Reader::new(Cursor::new(bytes), 0).unwrap();
    let mut rows = PageBuilder::new(schema());
    while let Some(record) = reader.next_record().unwrap() {
        push(&mut rows, record, "f");
    }
    let intake = rows.finish().unwrap();
    let urls = column::utf8(&intake.batch, column::URL).unwrap();
    let word = |(url, verdict): (Option<&str>, &Verdict)| match verdict {
        Verdict::Dropped { reason, .. } => format!("{} {reason}", url.unwrap_or("-")),
        _ => url.unwrap_or("-").to_owned(),
    };
    urls.iter().zip(&intake.verdicts).map(word).collect()
}

fn check(bytes: &[u8], expected: &[&str]) {
    assert_eq!(words(bytes), expected);
}

#[test]
fn what_headers_wish_stands_in_a_column() {
    let check = |head: &str, http: &str, expected: Option<&str>| {
        let block = format!("HTTP/1.1 200 X\r\nContent-Type: text/html\r\n{http}\r\n<p>page");
        let bytes =
            String::from_utf8(record("response", "http://a/", block.as_bytes(), block.len())).unwrap();
        let bytes = bytes.replacen("\r\nContent-Length", &format!("{head}\r\nContent-Length"), 1);
        let mut reader = Reader::new(Cursor::new(bytes.into_bytes()), 0).unwrap();
        let mut rows = PageBuilder::new(schema());
        assert!(push(&mut rows, reader.next_record().unwrap().unwrap(), "f"));
        let batch = rows.finish().unwrap().batch;
        assert_eq!(
            column::utf8(&batch, column::OPT_OUT).unwrap().iter().next().flatten(),
            expected,
            "{http}"
        );
    };
    check("", "", None);
    check("", "X-Robots-Tag: noindex, nofollow\r\nx-robots-tag: NoAI\r\n", Some("noindex, noai"));
    check("", "X-Robots-Tag: otherbot: noai\r\n", None);
    check(
        "",
        "TDM-Reservation: 1\r\nContent-Signal: search=yes, ai-train=no\r\n",
        Some("tdm-reservation, content-signal"),
    );
    check("", "tdm-reservation: 0\r\ncontent-usage: train-ai=y\r\n", None);
    check(
        "\r\nGristmill-Opt-Out: content-signal",
        "x-robots-tag: noimageai\r\n",
        Some("noimageai, content-signal"),
    );
}

#[test]
fn plain_members_and_whole_file_read_alike() {
    let records = [good("a"), record("request", "http://a/", b"GET /", 5), good("b")];
    let expected = ["http://a/", "http://b/"];
    check(&records.concat(), &expected);
    check(&records.iter().flat_map(|r| gzip(r)).collect::<Vec<_>>(), &expected);
    check(&gzip(&records.concat()), &expected);
    check(&[gzip(&records.concat()), vec![0; 1000]].concat(), &expected);
    check(b"", &[]);
    check(&gzip(b""), &[]);
}

#[test]
fn what_is_no_page_is_dropped_with_its_reason() {
    let bomb = gzip(&vec![b' '; 8 << 20]);
    let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n\r\n";
    let bomb = [head.as_slice(), &bomb].concat();
    let all = [
        page("http://a/404", 404, "text/html", b"<p>"),
        page("http://a/png", 200, "image/png", b"<p>"),
        page("http://a/pdf", 200, "text/html", b"%PDF-1.7"),
        page("http://a/empty", 200, "text/html", b""),
        page("http://a/txt", 200, "text/plain; charset=latin1", b"caf\xe9"),
        page("http://a/octets", 200, "application/octet-stream", b"<!doctype html><p>"),
        record("response", "http://a/bomb", &bomb, bomb.len()),
        record("response", "http://a/bad", b"nonsense", 8),
        record("response", "dns:a", b"1.2.3.4", 7),
        record("revisit", "http://a/", b"", 0),
        record("conversion", "http://a/wet", "wörds".as_bytes(), 6),
        record("conversion", "http://a/wet8", b"w\xff", 2),
        record("warcinfo", "x", b"a: b", 4),
    ];
    let expected = [
        "http://a/404 status",
        "http://a/png not_html",
        "http://a/pdf not_html",
        "http://a/empty empty",
        "http://a/txt",
        "http://a/octets",
        "http://a/bomb too_large",
        "http://a/bad bad_http",
        "dns:a not_http",
        "http://a/ revisit",
        "http://a/wet",
        "http://a/wet8 invalid_utf8",
    ];
    check(&all.concat(), &expected);
}

#[test]
fn a_wrong_length_costs_one_record() {
    let block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>x";
    for length in [block.len() - 3, block.len() + 40, block.len() + 100_000] {
        let wrong = record("response", "http://x/", block, length);
        let expected = ["http://a/", "http://x/ truncated", "http://b/", "http://c/"];
        check(&[good("a"), wrong.clone(), good("b"), good("c")].concat(), &expected);
        check(&gzip(&[good("a"), wrong.clone(), good("b"), good("c")].concat()), &expected);
        check(&[good("a"), wrong, good("b"), good("c")].map(|r| gzip(&r)).concat(), &expected);
    }
    let endless = record("response", "http://x/", block, 10 << 30);
    check(&[endless, good("b")].concat(), &["http://x/ truncated", "http://b/"]);
}

#[test]
fn a_bad_head_costs_one_record() {
    let no_length = b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://x/\r\n\r\nblock\r\n\r\n";
    check(
        &[good("a"), no_length.to_vec(), good("b")].concat(),
        &["http://a/", "http://x/ bad_header", "http://b/"],
    );
    check(
        &[good("a"), b"some\nnoise\0\n\n".to_vec(), good("b")].concat(),
        &["http://a/", "- bad_header", "http://b/"],
    );
    check(
        &[gzip(&good("a")), b"noise".to_vec(), gzip(&good("b"))].concat(),
        &["http://a/", "- bad_header", "http://b/"],
    );
    check(b"\xff\xd8 not an archive", &["- bad_header"]);
}

#[test]
fn a_broken_member_costs_one_record() {
    let mut crc = gzip(&good("x"));
    let at = crc.len() - 6;
    crc[at] ^= 1;
    let bytes = [gzip(&good("a")), crc, gzip(&good("b"))].concat();
    check(&bytes, &["http://a/", "http://x/ truncated", "http://b/"]);
    let noise: Vec<u8> = (0..9000_u64).map(|n| (schemas::hash::seed(n, "", 0) >> 56) as u8).collect();
    let middle = gzip(&page("http://x/", 200, "text/html", &noise));
    let mut flipped = middle.clone();
    flipped[5000] ^= 0x55;
    let cut = middle[..6000].to_vec();
    for broken in [flipped, cut] {
        let bytes = [gzip(&good("a")), broken, gzip(&good("b")), gzip(&good("c"))].concat();
        check(&bytes, &["http://a/", "http://x/ truncated", "http://b/", "http://c/"]);
    }
}

#[test]
fn cutting_a_file_anywhere_loses_no_record_before_the_cut() {
    let records = [good("a"), good("b")];
    let first = [records[0].len(), gzip(&records[0]).len()];
    for (bytes, first) in [records.concat(), records.map(|r| gzip(&r)).concat()].iter().zip(first) {
        for cut in 0..bytes.len() {
            let found = words(&bytes[..cut]);
            assert!(found.len() <= 2, "{found:?} at {cut}");
            if cut >= first {
                assert_eq!(found[0], "http://a/", "at {cut}");
            }
        }
    }
}

#[test]
fn a_record_is_read_alone_by_its_offset() {
    let folder = files::scratch("warc-offset");
    let members = [gzip(&good("a")), gzip(&good("b"))];
    let path = folder.join("x.warc.gz");
    fs::write(&path, members.concat()).unwrap();
    let record = read::read_at(&path, members[0].len() as u64).unwrap().unwrap();
    assert_eq!(record.url().as_deref(), Some("http://b/"));
    assert_eq!(record.position.to_string(), members[0].len().to_string());
    assert_eq!(read::read_at(&path, members.concat().len() as u64).unwrap(), None);
    fs::remove_dir_all(folder).unwrap();
}

/// Payload as the manifest of the conformance data counts it.
fn payload(record: &Record) -> Option<Vec<u8>> {
    let http = record.url().is_some_and(|u| u.starts_with("http"));
    match record.kind().as_str() {
        "response" if http => {
            Some(http::response(&record.block).map_or_else(|(_, r)| r.unwrap().body, |r| r.body))
        }
        "response" | "resource" | "conversion" => Some(record.block.clone()),
        _ => None,
    }
}

#[test]
fn conformance_files_read_as_their_manifest_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/conformance/warc");
    let Ok(manifest) = fs::read(folder.join("manifest.json")) else {
        eprintln!("SKIPPED: {} is missing", folder.display());
        return;
    };
    let manifest: Vec<serde_json::Value> = serde_json::from_slice(&manifest).unwrap();
    for entry in &manifest {
        let name = entry["file"].as_str().unwrap();
        let mut reader = Reader::new(File::open(folder.join(name)).unwrap(), 0).unwrap();
        let mut records = Vec::new();
        while let Some(record) = reader.next_record().unwrap() {
            records.push(record);
        }
        let payloads: Vec<(String, usize, String)> = records
            .iter()
            .filter_map(|r| Some((r.url().unwrap_or_default(), payload(r)?)))
            .map(|(url, p)| (url, p.len(), format!("{:x}", Sha256::digest(&p))[..16].to_owned()))
            .collect();
        if !entry["warcio_1_8_1_error"].is_null() {
            // The reference reader gave up; what is read beyond is checked in the tests above.
            assert!(records.len() as u64 >= entry["records"].as_u64().unwrap(), "{name}");
            continue;
        }
        assert_eq!(records.len() as u64, entry["records"].as_u64().unwrap(), "{name}");
        let expected = entry["payloads"].as_array().unwrap();
        assert_eq!(payloads.len(), expected.len(), "{name}");
        for (found, expected) in payloads.iter().zip(expected) {
            if let Some(url) = expected[0].as_str() {
                assert_eq!(found.0, url, "{name}");
            }
            assert_eq!(
                (found.1 as u64, found.2.as_str()),
                (expected[1].as_u64().unwrap(), expected[2].as_str().unwrap()),
                "{name} {}",
                found.0
            );
        }
    }
}
