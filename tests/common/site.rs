//! A web site on loopback whose pages are given by a function.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

/// What the site says to a path.
pub enum Answer {
    Page(String),
    Redirect(String),
    NotFound,
}

/// A site that runs until it is dropped.
pub struct Site {
    runtime: Option<tokio::runtime::Runtime>,
    pub port: u16,
    /// Paths asked for, in order.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Site {
    /// Serves; every answer takes `delay`.
    pub fn serve(delay: Duration, answer: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (noted, answer) = (Arc::clone(&asked), Arc::new(answer));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (noted, answer) = (Arc::clone(&noted), Arc::clone(&answer));
                let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let path = request.uri().path_and_query().map_or("/", |p| p.as_str()).to_owned();
                    let response = respond(&answer(&path));
                    noted.lock().unwrap().push(path);
                    async move {
                        tokio::time::sleep(delay).await;
                        Ok::<_, Infallible>(response)
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                // A client that was killed is no concern of the server.
                tokio::spawn(async move { drop(connection.await) });
            }
        });
        Self { runtime: Some(runtime), port, asked }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Paths asked for so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn respond(answer: &Answer) -> Response<Full<Bytes>> {
    let builder = Response::builder().header("content-type", "text/html; charset=utf-8");
    let body = |text: &str| Full::new(Bytes::from(text.to_owned()));
    let response = match answer {
        Answer::Page(text) => builder.body(body(text)),
        Answer::Redirect(to) => builder.status(StatusCode::FOUND).header("location", to).body(body("")),
        Answer::NotFound => builder.status(StatusCode::NOT_FOUND).body(body("not found")),
    };
    response.unwrap()
}
