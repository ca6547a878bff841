//! Pages that only a sitemap names.

use super::*;
use crate::source::coding::encode::gzip;

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
