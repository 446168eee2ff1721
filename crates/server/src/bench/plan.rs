//! [`Plan`]: what was asked for, as the threads need it.

use core::time::Duration;

use wirefan_protocol::{Config, DeflateConfig};

use super::cargo::Lading;
use super::link::{Hears, Role};
use super::options::{Broadcast, Common, Connect, Echo, Idle, Messages, Mode, Payload};
use super::worker::Pace;

/// What is done with the connections once they are open.
pub(crate) struct Plan {
    pub(crate) mode: &'static str,
    pub(crate) common: Common,
    /// In the order in which they are opened.
    pub(crate) roles: Vec<Role>,
    pub(crate) publishers: usize,
    /// Each publisher has a room of its own, and so many there are.
    pub(crate) rooms: Option<usize>,
    pub(crate) messages: Option<Messages>,
    pub(crate) warmup: Duration,
    pub(crate) duration: Duration,
}

impl Plan {
    pub(crate) fn new(mode: Mode) -> Self {
        match mode {
            Mode::Echo(Echo {
                common,
                connections,
                messages,
            }) => Self {
                mode: "echo",
                common,
                roles: vec![Role::Echo; connections],
                publishers: 0,
                rooms: None,
                warmup: messages.span.warmup,
                duration: messages.span.duration,
                messages: Some(messages),
            },
            Mode::Broadcast(Broadcast {
                common,
                publishers,
                subscribers,
                rooms,
                messages,
            }) => {
                let rooms = rooms.map(|rooms| usize::from(rooms.get()));
                let publishers = rooms.unwrap_or_else(|| usize::from(publishers.get()));
                let hears = |subscriber: usize| match rooms {
                    Some(rooms) => Hears::One(subscriber % rooms),
                    None => Hears::All,
                };
                let mut roles: Vec<_> = (0..subscribers)
                    .map(|subscriber| Role::Subscriber(hears(subscriber)))
                    .collect();
                roles.extend((0..publishers).map(Role::Publisher));
                Self {
                    mode: "broadcast",
                    common,
                    roles,
                    publishers,
                    rooms,
                    warmup: messages.span.warmup,
                    duration: messages.span.duration,
                    messages: Some(messages),
                }
            }
            Mode::Connect(Connect {
                common,
                connections,
                span,
            }) => Self {
                mode: "connect",
                common,
                roles: vec![Role::Idle; connections],
                publishers: 0,
                rooms: None,
                messages: None,
                warmup: span.warmup,
                duration: span.duration,
            },
            Mode::Idle(Idle {
                common,
                connections,
                duration,
            }) => Self {
                mode: "idle",
                common,
                roles: vec![Role::Idle; connections],
                publishers: 0,
                rooms: None,
                messages: None,
                warmup: Duration::ZERO,
                duration,
            },
        }
    }

    pub(crate) fn is_connect(&self) -> bool {
        self.mode == "connect"
    }

    pub(crate) fn lading(&self) -> Lading {
        Lading {
            size: self.messages.as_ref().map_or(0, |messages| messages.size),
            payload: self
                .messages
                .as_ref()
                .map_or(Payload::Ascii, |messages| messages.payload),
            in_flight: self.in_flight().unwrap_or(256),
            named: self.publishers > 1,
        }
    }

    pub(crate) fn in_flight(&self) -> Option<u32> {
        let messages = self.messages.as_ref()?;
        let unbounded = messages.rate.is_some().then_some(None);
        messages
            .in_flight
            .map(|in_flight| Some(in_flight.get()))
            .or(unbounded)
            .unwrap_or(Some(1))
    }

    /// The limits of a connection of ours, and what it offers.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::default();
        // Servers that send more than was sent are to be found out, not to be cut off.
        config.max_message = config.max_message.max(2 * self.lading().size);
        config.max_fragments = u32::MAX;
        config.deflate = self
            .messages
            .as_ref()
            .filter(|messages| messages.compress)
            .map(|_| {
                // As browsers do.
                let mut deflate = DeflateConfig::default();
                deflate.takeover = true;
                deflate
            });
        config
    }

    /// When the connections of a thread send.
    pub(crate) fn pace(
        &self,
        roles: impl Iterator<Item = Role>,
        number: usize,
        threads: usize,
    ) -> Pace {
        let sends = |role: &Role| matches!(role, Role::Echo | Role::Publisher(_));
        let here = roles.filter(sends).count();
        let all = self.roles.iter().filter(|role| sends(role)).count();
        let rate = self.messages.as_ref().and_then(|messages| messages.rate);
        let count = self
            .messages
            .as_ref()
            .and_then(|messages| messages.count)
            .map(|count| {
                // The first of the threads that send take what is left over.
                let senders = threads.min(all) as u64;
                let share =
                    count.get() / senders + u64::from((number as u64) < count.get() % senders);
                if here == 0 { 0 } else { share }
            });
        Pace {
            in_flight: self.in_flight().map_or(u64::MAX, u64::from),
            interval: rate.map(|rate| 1e9 * all as f64 / (rate.get() as f64 * here.max(1) as f64)),
            count,
        }
    }
}
