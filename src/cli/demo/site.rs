//! The web site of the demo and its server on loopback.

use super::manual::manual;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use schemas::Spec;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The first port that is tried, then those behind it. Always the same where it is free, so that a second demo finds
/// what the first has crawled.
const PORT: u16 = 47_117;
const PORTS_TRIED: u16 = 20;

/// What is served.
pub(super) enum Site {
    /// The documentation of a Rust toolchain.
    Folder(PathBuf),
    /// Our own manual: pages by path.
    Manual(BTreeMap<String, String>),
}

impl Site {
    /// The documentation of the installed toolchain, or our own manual.
    pub(super) fn find(kinds: &[Spec]) -> Self {
        let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().ok();
        let sysroot =
            sysroot.filter(|out| out.status.success()).and_then(|out| String::from_utf8(out.stdout).ok());
        let docs = sysroot.map(|path| Path::new(path.trim()).join("share/doc/rust/html"));
        match docs.filter(|folder| folder.join("index.html").is_file()) {
            Some(folder) => Self::Folder(folder),
            None => Self::Manual(manual(kinds)),
        }
    }

    pub(super) fn what(&self) -> String {
        match self {
            Self::Folder(folder) => format!("the Rust documentation ({})", folder.display()),
            Self::Manual(pages) => {
                format!("our own manual, {} pages (the Rust documentation is not installed)", pages.len())
            }
        }
    }

    fn seeds(&self) -> &'static [&'static str] {
        match self {
            Self::Folder(_) => &[
                "/book/index.html",
                "/rust-by-example/index.html",
                "/reference/index.html",
                "/cargo/index.html",
                "/nomicon/index.html",
                "/rustc/index.html",
                "/edition-guide/index.html",
                "/std/index.html",
            ],
            Self::Manual(_) => &["/index.html"],
        }
    }

    fn page(&self, path: &str) -> Option<(Vec<u8>, &'static str)> {
        match self {
            Self::Folder(folder) => {
                let decoded = decode(path)?;
                let relative = Path::new(decoded.trim_start_matches('/'));
                let inside = relative.components().all(|c| matches!(c, Component::Normal(_)));
                let mut file = inside.then(|| folder.join(relative))?;
                if file.is_dir() {
                    file.push("index.html");
                }
                Some((std::fs::read(&file).ok()?, media_type(&file)))
            }
            Self::Manual(pages) => {
                let page = pages.get(if path == "/" { "/index.html" } else { path })?;
                Some((page.clone().into_bytes(), media_type(Path::new(path))))
            }
        }
    }
}

/// Percent-decoding; `None` for what is not UTF-8.
fn decode(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = |at: usize| after.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

fn media_type(path: &Path) -> &'static str {
    match path.extension().and_then(|e| e.to_str()) {
        Some("html") | None => "text/html; charset=utf-8",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("svg") => "image/svg+xml",
        Some(_) => "application/octet-stream",
    }
}

/// A running server; stops when dropped.
pub(super) struct Server {
    runtime: Option<tokio::runtime::Runtime>,
    port: u16,
    seeds: &'static [&'static str],
}

impl Server {
    pub(super) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn seeds(&self) -> &'static [&'static str] {
        self.seeds
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Serves a site on loopback.
pub(super) fn serve(site: Site) -> io::Result<Server> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let listener = runtime.block_on(listen())?;
    let (port, seeds) = (listener.local_addr()?.port(), site.seeds());
    let site = Arc::new(site);
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let site = Arc::clone(&site);
            let answer = service_fn(move |request| {
                let response = answer(&site, &request);
                async move { Ok::<_, Infallible>(response) }
            });
            let http = hyper::server::conn::http1::Builder::new();
            let connection = http.serve_connection(TokioIo::new(stream), answer);
            // A client that goes away in mid-answer is no concern of a server.
            tokio::spawn(async move { drop(connection.await) });
        }
    });
    Ok(Server { runtime: Some(runtime), port, seeds })
}

async fn listen() -> io::Result<TcpListener> {
    for port in PORT..PORT + PORTS_TRIED {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            return Ok(listener);
        }
    }
    TcpListener::bind(("127.0.0.1", 0)).await
}

fn answer(site: &Site, request: &Request<hyper::body::Incoming>) -> Response<Full<Bytes>> {
    let known = matches!(*request.method(), Method::GET | Method::HEAD);
    let page = known.then(|| site.page(request.uri().path())).flatten();
    let (status, media_type, body) = match page {
        Some((bytes, media_type)) => (StatusCode::OK, media_type, bytes),
        None => (StatusCode::NOT_FOUND, "text/plain", b"not found\n".to_vec()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
