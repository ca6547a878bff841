//! Crawls that are killed, and archives that are read again.

use super::*;
use crate::source::warc::write::file_name;

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
        if archive::is_complete(&path, &settings) {
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
fn a_crawl_that_its_time_ended_goes_on_with_more() {
    let slow = |path: &str, _: usize, out: &mut TcpStream| {
        if path == "/robots.txt" {
            return send(out, 404, "", b"");
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
        let number: u32 = path[1..].parse().unwrap_or(0);
        html(out, &if number < 7 { format!("<p><a href=/{}>", number + 1) } else { "<p>end".to_owned() })
    };
    let (site, folder) = (Site::new(slow), Folder::new("time"));
    let with = |duration_s_max| {
        let config = Config { concurrency: 1, duration_s_max, ..config(site.url("/0")) };
        Arc::new(Settings::new(config).map_err(|e| format!("{e:?}")).unwrap())
    };
    run::crawl(&with(1), &folder.0, &Notes::default(), u64::MAX).unwrap();
    let asked = site.asked().len();
    assert!(asked < 8);
    run::crawl(&with(1), &folder.0, &Notes::default(), u64::MAX).unwrap();
    assert_eq!(site.asked().len(), asked);
    run::crawl(&with(60), &folder.0, &Notes::default(), u64::MAX).unwrap();
    let crawled = read_back(&site, &folder, &with(60));
    assert_eq!(crawled.rows.values().filter(|word| *word == "kept").count(), 8);
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
    let batches: Vec<_> = rows.map(|intake| intake.unwrap().batch).collect();
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 101);
    // The place in `source` is that of the response record itself.
    for source in batches.iter().flat_map(|batch| schemas::column::utf8(batch, "source").unwrap()) {
        let (name, byte) = source.unwrap().rsplit_once(':').unwrap();
        let archive = std::fs::read(folder.0.join(settings.hash()).join(name)).unwrap();
        let mut head = [0; 200];
        let member = &archive[byte.parse::<usize>().unwrap()..];
        flate2::bufread::GzDecoder::new(member).read_exact(&mut head).unwrap();
        assert!(String::from_utf8_lossy(&head).contains("WARC-Type: response"), "{source:?}");
    }
}
