//! `--serve-dir`: plain requests answered from a folder. Its files are in memory, read by a thread of their own; a request
//! is a look into a table, so that no disk keeps a worker waiting and no path leads anywhere but into that table.

mod file;
mod folder;
mod in_flight;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use wirefan_eventloop::{Caller, ConnId};
use wirefan_protocol::handshake::{Reply, Request};

use self::file::File;
pub(crate) use self::folder::FolderError;
use self::folder::Snapshot;
use self::in_flight::InFlight;
use self::watch::Newest;
use crate::{quantity, room};

/// The options of static files.
#[derive(Args, Debug)]
#[command(next_help_heading = "Files")]
pub(crate) struct ServeFiles {
    /// Folder whose files answer plain requests, in place of the page of one's own
    ///
    /// `/` is its index.html. What begins with a dot and what leads out of the folder is not there for anybody, and
    /// nothing is listed. WebSocket requests are for rooms whatever files there are. The files are kept in memory, and
    /// read again within seconds of a change.
    #[arg(long, value_name = "DIR")]
    pub(crate) serve_dir: Option<PathBuf>,

    /// Most bytes of files in --serve-dir; more are not served at all
    #[arg(long, value_name = "SIZE", default_value = "64m", value_parser = quantity::some_size)]
    serve_limit: usize,
}

/// What plain requests are answered from, for one worker; clones share the files.
#[derive(Clone, Debug)]
pub(crate) struct StaticFiles {
    newest: Arc<Newest>,
    in_flight: InFlight,
}

impl ServeFiles {
    /// Reads the folder, if there is one, and watches over it from now on.
    pub(crate) fn read(&self) -> Result<Option<StaticFiles>, FolderError> {
        let dir: Option<&Path> = self.serve_dir.as_deref();
        let files = dir.map(|dir| {
            let newest = watch::watch(dir, self.serve_limit)?;
            let in_flight = InFlight::default();
            Ok(StaticFiles { newest, in_flight })
        });
        files.transpose()
    }
}

impl StaticFiles {
    /// Answers a plain request.
    pub(crate) fn answer(&mut self, request: &Request<'_>, caller: Caller) -> Reply<'static> {
        let is_get = request.method() == "GET";
        if !is_get && request.method() != "HEAD" {
            let reply = Reply::text(405, "only GET and HEAD are answered here");
            return reply.header("Allow", "GET, HEAD");
        }
        let path = match room::of(request.path()) {
            Ok(path) => path,
            Err(why) => return Reply::text(why.status(), "this path cannot be the name of a file"),
        };
        let snapshot = self.newest.get();
        let found = match find(&snapshot, &path) {
            Found::File(file) => file,
            Found::Folder(location) => {
                return Reply::text(308, "").header("Location", location);
            }
            Found::Nothing => {
                return Reply::text(404, "there is no such file")
                    .header("Cache-Control", "no-cache");
            }
        };
        let tags = request
            .headers()
            .filter(|(name, _)| name.eq_ignore_ascii_case("If-None-Match"))
            .map(|(_, value)| value);
        if found.is_among(tags) {
            return found.not_modified();
        }
        if is_get && !self.in_flight.begin(caller.id, found.len()) {
            return Reply::text(503, "too much is being sent to others").header("Retry-After", "1");
        }
        found.whole()
    }

    /// A caller has gone, whatever it was.
    pub(crate) fn closed(&mut self, id: ConnId) {
        self.in_flight.end(id);
    }
}

enum Found<'a> {
    File(&'a File),
    /// A folder with a page, and its path as it is to be asked for.
    Folder(String),
    Nothing,
}

/// Looks a decoded path up. All names in the table are of files that may be seen: nothing is ever resolved here.
fn find<'a>(snapshot: &'a Snapshot, path: &str) -> Found<'a> {
    if path.ends_with('/') {
        let index = snapshot.get(&format!("{path}index.html"));
        return index.map_or(Found::Nothing, Found::File);
    }
    match snapshot.get(path) {
        Some(file) => Found::File(file),
        // Without the slash, the links in the page would lead elsewhere. No name in the table begins with two slashes,
        // which would be another host.
        None if snapshot.get(&format!("{path}/index.html")).is_some() => {
            Found::Folder(format!("{}/", file::escaped(path)))
        }
        None => Found::Nothing,
    }
}
