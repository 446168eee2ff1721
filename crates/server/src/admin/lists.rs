//! Rooms and connections as the API tells of them: what a worker contributes, and the JSON of all parts.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use wirefan_eventloop::{ConnId, ConnView, View};

use crate::broadcast::Member;
use crate::door::Visitor;
use crate::echo::Speaker;
use crate::visits::Visit;

/// A page of rooms: the first ones behind a name.
#[derive(Clone, Debug)]
pub(super) struct RoomsPage {
    pub(super) after: Option<String>,
    pub(super) limit: usize,
}

/// A worker's first rooms of a page, with its members, and how many rooms it has in all.
pub(super) type Rooms = BTreeMap<String, usize>;

impl RoomsPage {
    /// What is among the first ones of all workers is among the first ones of each that has it. One more tells whether
    /// there is a next page.
    pub(super) fn look(&self, view: &View<'_>) -> Rooms {
        let after = self.after.as_deref();
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        for (name, members) in view.topics() {
            let last = first.last_key_value().map(|(last, _)| *last);
            let fits = first.len() <= self.limit || last.is_some_and(|last| name < last);
            if fits && after.is_none_or(|after| name > after) {
                first.insert(name, members);
                if first.len() > self.limit + 1 {
                    first.pop_last();
                }
            }
        }
        first
            .into_iter()
            .map(|(name, members)| (name.to_owned(), members))
            .collect()
    }

    /// The page as JSON; `total` is the number of all rooms.
    pub(super) fn json(&self, parts: Vec<Rooms>, total: usize) -> Value {
        let mut rooms = Rooms::new();
        for (name, members) in parts.into_iter().flatten() {
            *rooms.entry(name).or_default() += members;
        }
        let more = rooms.len() > self.limit;
        let page: Vec<(String, usize)> = rooms.into_iter().take(self.limit).collect();
        let next = page.last().filter(|_| more).map(|(name, _)| name.clone());
        let list: Vec<Value> = page
            .into_iter()
            .map(|(room, members)| json!({ "room": room, "members": members }))
            .collect();
        json!({ "rooms": list, "total": total, "next": next })
    }
}

/// A page of connections: the first ones behind a name, worker by worker.
#[derive(Clone, Debug)]
pub(super) struct ConnectionsPage {
    pub(super) after: Option<ConnId>,
    pub(super) room: Option<String>,
    pub(super) limit: usize,
}

impl ConnectionsPage {
    /// A worker's connections of the page, and one more.
    pub(super) fn look(&self, view: &View<'_>) -> Vec<Value> {
        let after = match self.after {
            Some(after) if after.worker() > view.worker() => return Vec::new(),
            after => after.filter(|after| after.worker() == view.worker()),
        };
        let wanted = self.limit + 1;
        let Some(room) = &self.room else {
            let conns = view.connections(after).take(wanted);
            return conns.map(|conn| connection(&conn)).collect();
        };
        // A large server has many connections that are in other rooms.
        let mut conns: Vec<ConnView<'_>> = view
            .connections_in(room)
            .filter(|conn| after.is_none_or(|after| conn.id > after))
            .collect();
        conns.sort_unstable_by_key(|conn| conn.id);
        conns.iter().take(wanted).map(connection).collect()
    }

    /// The page as JSON; `total` is the number of all connections.
    pub(super) fn json(&self, parts: Vec<Vec<Value>>, total: u64) -> Value {
        let mut list: Vec<Value> = parts.into_iter().flatten().collect();
        let more = list.len() > self.limit;
        list.truncate(self.limit);
        let next = list.last().filter(|_| more).map(|last| last["id"].clone());
        json!({ "connections": list, "total": total, "next": next })
    }
}

/// One connection.
pub(super) fn connection(conn: &ConnView<'_>) -> Value {
    let (member, speaker) = (conn.peer::<Member>(), conn.peer::<Speaker>());
    let visit = member
        .map(Member::visit)
        .or_else(|| speaker.map(Speaker::visit));
    let guest = member
        .map(Visitor::guest)
        .or_else(|| speaker.map(Visitor::guest));
    let addr = guest.map_or(conn.addr, |guest| guest.addr(conn.addr));
    json!({
        "id": conn.id.to_string(),
        "addr": addr.to_string(),
        "rooms": conn.topics().collect::<Vec<_>>(),
        "seconds": visit.map(|visit| (visit.lasted().as_secs_f64() * 10.0).round() / 10.0),
        "messages_received": visit.map(Visit::messages),
        "backlog_bytes": conn.backlog,
        "messages_dropped": conn.dropped,
        "round_trip_seconds": conn.rtt.map(|rtt| rtt.as_secs_f64()),
    })
}
