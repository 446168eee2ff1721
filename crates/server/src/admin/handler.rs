//! [`Admin`]: what the admin listener does with requests, and with the connections of dashboards.

use core::time::Duration;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use wirefan_eventloop::{
    Caller, Conn, ConnId, Ctx, Decision, Handler, MailboxFull, Message, Remote,
};
use wirefan_protocol::handshake::{Reply, Request};
use wirefan_protocol::{CloseCode, Frame};

use super::access::{Access, Wish};
use super::gather::gather;
use super::lists::{self, ConnectionsPage, RoomsPage};
use super::prometheus::{self, Process};
use super::{feed, page, query};
use crate::room;

/// Entries on a page of a list: unless told, and at most.
const PAGE: usize = 100;
const LONGEST_PAGE: usize = 1000;
/// Between two things that a dashboard is told.
const BEAT: Duration = Duration::from_secs(1);
/// For a dashboard to show its token.
const TOKEN_TIME: Duration = Duration::from_secs(10);

/// The side of the watcher. `N` is the note of the server that is watched.
#[derive(Debug)]
pub(super) struct Admin<N> {
    pub(super) access: Access,
    pub(super) watched: Remote<N>,
    /// The way back from the threads of the watched.
    pub(super) own: Remote<Answer>,
    /// Since 1970.
    pub(super) started: Duration,
}

/// The answer to a request that was to be decided later.
#[derive(Debug)]
pub(super) struct Answer {
    to: ConnId,
    reply: Reply<'static>,
}

/// A dashboard.
#[derive(Debug)]
pub(super) struct Feed {
    /// It has shown its token, or needs none.
    may_look: bool,
}

impl<N: Send + 'static> Handler for Admin<N> {
    type Peer = Feed;
    type Note = Answer;

    fn request(
        &mut self,
        request: &Request<'_>,
        caller: Caller,
        _: &mut Ctx<'_, Feed>,
    ) -> Decision<Feed> {
        self.route(request, caller).unwrap_or_else(|refusal| {
            if let 401 | 403 = refusal.status() {
                tracing::info!(from = %caller.addr, status = refusal.status(), "refused by the admin listener");
            }
            Decision::Answer(finished(refusal))
        })
    }

    fn open(&mut self, conn: &mut Conn<'_, Feed>) {
        if conn.peer().may_look {
            self.beat(conn);
        } else {
            conn.set_timer(TOKEN_TIME);
        }
    }

    fn message(&mut self, conn: &mut Conn<'_, Feed>, message: Message<'_>) {
        if conn.peer().may_look {
            return;
        }
        let Message::Text(text) = message else {
            return refuse(conn, "a token is awaited");
        };
        let said: Value = serde_json::from_str(text).unwrap_or_default();
        match said["token"].as_str() {
            Some(token) if self.access.is_token(token) => {
                conn.peer().may_look = true;
                self.beat(conn);
            }
            _ => refuse(conn, "this is not the token"),
        }
    }

    fn timer(&mut self, conn: &mut Conn<'_, Feed>) {
        if conn.peer().may_look {
            self.beat(conn);
        } else {
            refuse(conn, "no token in time");
        }
    }

    fn note(&mut self, Answer { to, reply }: Answer, server: &mut Ctx<'_, Feed>) {
        // Who has gone meanwhile is not answered.
        let _ = server.answer(to, finished(reply));
    }
}

/// An answer now, or later; `Err` is a refusal.
type Routed = Result<Decision<Feed>, Reply<'static>>;

impl<N: Send + 'static> Admin<N> {
    fn route(&self, request: &Request<'_>, caller: Caller) -> Routed {
        let path = request.path();
        let check = |wish| self.access.check(request, wish);
        let now = |reply| Ok(Decision::Answer(finished(reply)));
        match path {
            "/" => {
                only(request, &["GET", "HEAD"])?;
                now(Reply::new(303).header("Location", "/dashboard"))
            }
            "/health" => {
                only(request, &["GET", "HEAD"])?;
                // Each worker has to have come round.
                self.later(caller, |_| (), |_| Reply::text(200, "ok\n"))
            }
            "/ready" => {
                only(request, &["GET", "HEAD"])?;
                now(match self.watched.is_draining() {
                    false => Reply::text(200, "ready\n"),
                    true => Reply::text(503, "draining\n"),
                })
            }
            "/metrics" => {
                only(request, &["GET", "HEAD"])?;
                check(Wish::Metrics)?;
                let text = prometheus::write(&self.watched.stats(), self.process());
                let reply = Reply::new(200).header("Content-Type", prometheus::CONTENT_TYPE);
                now(reply.body(text.into_bytes()))
            }
            "/dashboard" => {
                only(request, &["GET", "HEAD"])?;
                check(Wish::Nothing)?;
                Ok(Decision::Answer(page::dashboard()))
            }
            "/dashboard/feed" => self.open_feed(request),
            _ => match path.strip_prefix("/api/") {
                Some(rest) => self.api(request, caller, rest),
                None => Err(Reply::text(
                    404,
                    "there is no such page: /dashboard, /metrics, /health, /ready, /api\n",
                )),
            },
        }
    }

    fn open_feed(&self, request: &Request<'_>) -> Routed {
        self.access.check_feed(request)?;
        Ok(Decision::accept(Feed {
            may_look: !self.access.has_token(),
        }))
    }

    fn api(&self, request: &Request<'_>, caller: Caller, rest: &str) -> Routed {
        let acts = !matches!(request.method(), "GET" | "HEAD");
        self.access
            .check(request, if acts { Wish::Act } else { Wish::Look })?;
        if let Some(room) = rest.strip_prefix("rooms") {
            if room.is_empty() {
                only(request, &["GET", "HEAD"])?;
                return self.rooms(request, caller);
            }
            if room.starts_with('/') {
                only(request, &["POST"])?;
                return self.publish(request, caller, room);
            }
        }
        match rest.strip_prefix("connections") {
            Some("") => {
                only(request, &["GET", "HEAD"])?;
                self.connections(request, caller)
            }
            Some(rest) if rest.starts_with('/') => {
                only(request, &["GET", "HEAD", "DELETE"])?;
                let none = || problem(404, "there is no such connection");
                let id: ConnId = rest[1..].parse().map_err(|_| none())?;
                if id.worker() >= self.watched.workers() {
                    return Err(none());
                }
                if acts {
                    self.close(request, caller, id)
                } else {
                    self.connection(caller, id)
                }
            }
            _ => Err(problem(
                404,
                "there is no such thing: /api/rooms and /api/connections",
            )),
        }
    }

    fn rooms(&self, request: &Request<'_>, caller: Caller) -> Routed {
        let after = query::value(request.query(), "after");
        let page = RoomsPage {
            after,
            limit: limit(request)?,
        };
        let (same, watched) = (page.clone(), self.watched.clone());
        self.later(
            caller,
            move |view| page.look(view),
            move |parts| json_reply(200, &same.json(parts, watched.stats().topics)),
        )
    }

    fn connections(&self, request: &Request<'_>, caller: Caller) -> Routed {
        let after = match query::value(request.query(), "after") {
            None => None,
            Some(text) => {
                let wrong = |_| problem(400, "after is the id of a connection, as 0-17-3");
                Some(text.parse().map_err(wrong)?)
            }
        };
        let room = query::value(request.query(), "room");
        let page = ConnectionsPage {
            after,
            room,
            limit: limit(request)?,
        };
        let (same, watched) = (page.clone(), self.watched.clone());
        self.later(
            caller,
            move |view| page.look(view),
            move |parts| {
                let total = watched.stats().total().connections;
                json_reply(200, &same.json(parts, total))
            },
        )
    }

    fn connection(&self, caller: Caller, id: ConnId) -> Routed {
        let (own, to) = (self.own.clone(), caller.id);
        let look = self.watched.inspect(id.worker(), move |view| {
            let reply = match view.connection(id) {
                Some(conn) => json_reply(200, &lists::connection(&conn)),
                None => problem(404, "there is no such connection"),
            };
            answer(&own, to, reply);
        });
        posted(look)
    }

    fn close(&self, request: &Request<'_>, caller: Caller, id: ConnId) -> Routed {
        let code = match query::value(request.query(), "code") {
            None => CloseCode::NORMAL,
            Some(text) => {
                let code = text.parse().ok().map(CloseCode);
                let wrong = || problem(400, "code is 1000 to 1003, 1007 to 1014 or 3000 to 4999");
                code.filter(|code| code.is_sendable()).ok_or_else(wrong)?
            }
        };
        let reason = query::value(request.query(), "reason");
        let reason = reason.unwrap_or_else(|| "closed by the operator".to_owned());
        if reason.len() > 123 {
            return Err(problem(400, "reason is longer than 123 bytes"));
        }
        let (own, watched, by) = (self.own.clone(), self.watched.clone(), caller);
        let look = self.watched.inspect(id.worker(), move |view| {
            let reply = match view.connection(id) {
                None => problem(404, "there is no such connection"),
                Some(_) => match watched.close(id, code, &reason) {
                    Ok(()) => {
                        tracing::info!(%id, by = %by.addr, %code, "closed over the admin listener");
                        json_reply(202, &json!({ "closing": id.to_string() }))
                    }
                    Err(MailboxFull) => busy(),
                },
            };
            answer(&own, by.id, reply);
        });
        posted(look)
    }

    fn publish(&self, request: &Request<'_>, caller: Caller, path: &str) -> Routed {
        let room = room::of(path).map_err(|why| problem(why.status(), &why.to_string()))?;
        let frame = match str::from_utf8(request.body()) {
            _ if !is_text(request) => Frame::binary(request.body()),
            Ok(text) => Frame::text(text),
            Err(_) => return Err(problem(400, "the body is not UTF-8: add ?binary")),
        };
        if self.watched.publish(&room, &frame).is_err() {
            return Err(busy());
        }
        tracing::debug!(by = %caller.addr, room, len = request.body().len(), "published over the admin listener");
        let name = room.clone();
        self.later(
            caller,
            move |view| view.members(&name),
            move |members| {
                let members: usize = members.into_iter().sum();
                json_reply(202, &json!({ "room": room, "members": members }))
            },
        )
    }

    /// Answers with what `reply` makes of a look at every worker.
    fn later<T: Send + 'static>(
        &self,
        caller: Caller,
        look: impl Fn(&wirefan_eventloop::View<'_>) -> T + Clone + Send + 'static,
        reply: impl FnOnce(Vec<T>) -> Reply<'static> + Send + 'static,
    ) -> Routed {
        let (own, to) = (self.own.clone(), caller.id);
        posted(gather(&self.watched, look, move |parts| {
            answer(&own, to, reply(parts));
        }))
    }

    fn process(&self) -> Process {
        Process {
            started: self.started,
            draining: self.watched.is_draining(),
        }
    }

    /// Tells a dashboard how things are, and will again.
    fn beat(&self, conn: &mut Conn<'_, Feed>) {
        conn.set_timer(BEAT);
        // One that does not read is not told: what it would read then is old.
        if conn.backlog() == 0 {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let now = now.as_millis() as u64;
            let snapshot = feed::snapshot(&self.watched.stats(), self.process(), now);
            let _ = conn.send_text(&snapshot);
        }
    }
}

fn refuse(conn: &mut Conn<'_, Feed>, why: &str) {
    // It is open, the code may be sent, and the reason is short.
    let _ = conn.close(CloseCode::POLICY, why);
}

/// Sends an answer back to the thread of the admin listener.
fn answer(own: &Remote<Answer>, to: ConnId, reply: Reply<'static>) {
    // Full, it has too much to do; the request ends with its time.
    let _ = own.note(to.worker(), Answer { to, reply });
}

fn posted(posted: Result<(), MailboxFull>) -> Routed {
    match posted {
        Ok(()) => Ok(Decision::Later),
        Err(MailboxFull) => Err(busy()),
    }
}

/// What every answer has but the page: it is about now.
fn finished(reply: Reply<'static>) -> Reply<'static> {
    reply
        .header("X-Content-Type-Options", "nosniff")
        .header("Cache-Control", "no-store")
}

fn only(request: &Request<'_>, methods: &[&str]) -> Result<(), Reply<'static>> {
    if methods.contains(&request.method()) {
        return Ok(());
    }
    let methods = methods.join(", ");
    Err(Reply::text(405, format!("only {methods} here\n")).header("Allow", methods))
}

fn limit(request: &Request<'_>) -> Result<usize, Reply<'static>> {
    let Some(text) = query::value(request.query(), "limit") else {
        return Ok(PAGE);
    };
    let limit = text.parse().ok();
    limit
        .filter(|limit| (1..=LONGEST_PAGE).contains(limit))
        .ok_or_else(|| problem(400, "limit is 1 to 1000"))
}

/// Whether a body is to be a text message: by what the query says, else by its type.
fn is_text(request: &Request<'_>) -> bool {
    if query::has(request.query(), "binary") {
        return false;
    }
    let kind = request.header("content-type").unwrap_or_default();
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    let kind = kind.trim_ascii().to_ascii_lowercase();
    query::has(request.query(), "text")
        || kind.starts_with(b"text/")
        || kind == b"application/json"
        || kind.ends_with(b"+json")
}

fn json_reply(status: u16, value: &Value) -> Reply<'static> {
    Reply::new(status)
        .header("Content-Type", "application/json")
        .body(format!("{value}\n").into_bytes())
}

fn problem(status: u16, why: &str) -> Reply<'static> {
    json_reply(status, &json!({ "error": why }))
}

fn busy() -> Reply<'static> {
    problem(503, "the server has too much to do").header("Retry-After", "1")
}
