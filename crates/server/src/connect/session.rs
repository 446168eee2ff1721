//! [`Session`]: takes what has happened from one queue, tells of it, and ends when it is time. Run by `run`.

use std::io;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use wirefan_eventloop::CloseCause;
use wirefan_eventloop::client::{Link, OwnedMessage};
use wirefan_protocol::CloseCode;

use super::command::{Command, HELP};
use super::news::News;
use super::outcome::Outcome;
use super::output::{Output, Told};
use super::pings::Pings;

/// How often to look whether what was sent is on its way.
const LOOK: Duration = Duration::from_millis(10);
/// How long our Close waits for a server that does not read what was sent before.
const FLUSH: Duration = Duration::from_secs(5);

/// What a session is to do by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Close when so many messages have come.
    pub(crate) wanted: Option<u64>,
    /// How long to go on once everything is sent; `None`: until the server closes.
    pub(crate) patience: Option<Duration>,
    /// How often to send a ping.
    pub(crate) pings: Option<Duration>,
}

/// From where news come.
pub(crate) struct Inbox {
    pub(crate) news: Receiver<News>,
    /// See [`reporter`](super::news::reporter).
    pub(crate) places: Receiver<()>,
}

pub(crate) struct Session {
    link: Link,
    inbox: Inbox,
    output: Output,
    plan: Plan,
    pings: Pings,
    next_ping: Option<Instant>,
    open: bool,
    received: u64,
    input: InputState,
    closing: Option<Closing>,
    /// How it ends, where that is not told by how the connection does.
    outcome: Option<Outcome>,
    /// Nobody reads what we write.
    unheard: bool,
}

/// How far the input is.
#[derive(Clone, Copy, Debug)]
enum InputState {
    More,
    /// It has ended, and may not be sent yet.
    Ended,
    /// It is sent; this is how long we go on.
    Sent(Option<Instant>),
}

/// A Close of ours.
struct Closing {
    code: CloseCode,
    reason: String,
    since: Instant,
    sent: bool,
}

impl Session {
    pub(crate) fn new(link: Link, inbox: Inbox, output: Output, plan: Plan) -> Self {
        Self {
            link,
            inbox,
            output,
            plan,
            pings: Pings::default(),
            next_ping: None,
            open: false,
            received: 0,
            input: InputState::More,
            closing: None,
            outcome: None,
            unheard: false,
        }
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Outcome {
        if self.plan.wanted == Some(0) {
            // Nothing is waited for once all is sent.
            self.plan.patience = Some(Duration::ZERO);
        }
        let ended = loop {
            let until = self.act(Instant::now());
            let Some(event) = self.next(until) else {
                continue;
            };
            if let Some(outcome) = self.take(event) {
                break outcome;
            }
        };
        match self.output.finish() {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Outcome::Failed,
            _ => ended,
        }
    }

    /// The next thing that has happened, unless `until` comes before.
    fn next(&mut self, until: Option<Instant>) -> Option<News> {
        match self.inbox.news.try_recv() {
            Ok(event) => return Some(event),
            // The link's end is the last that comes, and it ends us.
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => {}
        }
        if !self.unheard
            && let Err(error) = self.output.flush()
        {
            self.heard(Err(error));
            // There is something to do now.
            return None;
        }
        let Some(until) = until else {
            return self.inbox.news.recv().ok();
        };
        let left = until.saturating_duration_since(Instant::now());
        self.inbox.news.recv_timeout(left).ok()
    }

    /// Does what is due, and tells when to look again.
    fn act(&mut self, now: Instant) -> Option<Instant> {
        let is_sent = self.link.counts().waiting == 0;
        if let InputState::Ended = self.input
            && self.open
            && is_sent
        {
            let deadline = self.plan.patience.and_then(|wait| now.checked_add(wait));
            self.input = InputState::Sent(deadline);
        }
        if let InputState::Sent(Some(deadline)) = self.input
            && now >= deadline
            && self.closing.is_none()
        {
            self.input_is_over();
        }
        if let Some(closing) = &mut self.closing
            && !closing.sent
            && (is_sent || !self.open || now >= closing.since + FLUSH)
        {
            closing.sent = true;
            // Its code and its reason were checked.
            let _ = self.link.close(closing.code, &closing.reason);
        }
        if let (Some(interval), true) = (self.plan.pings, self.open)
            && self.next_ping.is_none_or(|at| now >= at)
        {
            self.next_ping = now.checked_add(interval);
            self.ping(now);
        }
        self.next_look(now)
    }

    fn next_look(&self, now: Instant) -> Option<Instant> {
        let is_closing = self.closing.as_ref();
        if is_closing.is_some_and(|closing| !closing.sent)
            || (matches!(self.input, InputState::Ended) && self.open)
        {
            return Some(now + LOOK);
        }
        let deadline = match self.input {
            InputState::Sent(deadline) if is_closing.is_none() => deadline,
            _ => None,
        };
        let ping = self.next_ping.filter(|_| self.open);
        [deadline, ping].into_iter().flatten().min()
    }

    /// The time is over.
    fn input_is_over(&mut self) {
        let missing = (self.plan.wanted).is_some_and(|wanted| self.received < wanted);
        if missing {
            self.outcome = Some(Outcome::TimedOut);
            let (wanted, received) = (self.plan.wanted.unwrap_or(0), self.received);
            let why = format!(
                "{received} of {wanted} messages have come in time; --wait has it wait longer"
            );
            let cause = "answer_timeout";
            self.tell(&Told::Failed { cause, why: &why });
        }
        self.close(CloseCode::NORMAL, String::new());
    }

    /// Takes an event in; `Some`: that was the last one.
    fn take(&mut self, event: News) -> Option<Outcome> {
        match event {
            News::Connecting { failures } => {
                self.give_place_back();
                self.tell(&Told::Connecting { failures });
            }
            News::Open(response) => {
                self.give_place_back();
                self.open = true;
                self.next_ping = (self.plan.pings).and_then(|it| Instant::now().checked_add(it));
                self.tell(&Told::Open(&response));
            }
            News::Message(message) => {
                self.give_place_back();
                self.message(&message);
            }
            News::Pong(payload) => {
                self.give_place_back();
                if let Some(rtt) = self.pings.end(&payload, Instant::now()) {
                    self.tell(&Told::Pong(rtt));
                }
            }
            News::Lost { cause, retry_in } => {
                self.give_place_back();
                self.open = false;
                self.pings.forget();
                let cause = &cause;
                self.tell(&Told::Lost { cause, retry_in });
            }
            News::GaveUp(cause) => {
                self.tell(&Told::Ended(&cause));
                return Some(self.ended(&cause));
            }
            News::Command(command) => self.command(command),
            News::Mistake(mistake) => {
                let why = mistake.to_string();
                let cause = "command";
                self.tell(&Told::Failed { cause, why: &why });
            }
            News::InputEnded(None) => self.input = InputState::Ended,
            News::InputEnded(Some(why)) => {
                self.outcome = Some(Outcome::Failed);
                let cause = "input";
                self.tell(&Told::Failed { cause, why: &why });
                self.close(CloseCode::NORMAL, String::new());
            }
            News::Signal(number) => {
                self.outcome = Some(Outcome::Signal(number));
                self.close(CloseCode::GOING_AWAY, String::new());
            }
        }
        None
    }

    fn message(&mut self, message: &OwnedMessage) {
        let has_enough =
            |session: &Self| (session.plan.wanted).is_some_and(|wanted| session.received >= wanted);
        if has_enough(self) || self.unheard {
            return;
        }
        self.received += 1;
        self.tell(&Told::Message(message));
        if has_enough(self) {
            self.close(CloseCode::NORMAL, String::new());
        }
    }

    fn command(&mut self, command: Command) {
        let failed = match command {
            Command::Send(message) => self.link.send(message).err().map(|full| full.to_string()),
            Command::Ping if self.open => {
                self.ping(Instant::now());
                None
            }
            Command::Ping => Some("there is no connection".to_owned()),
            Command::Close(code, reason) => {
                self.close(code, reason);
                None
            }
            Command::Help => {
                self.tell(&Told::Note(HELP));
                None
            }
        };
        if let Some(why) = failed {
            let cause = "command";
            self.tell(&Told::Failed { cause, why: &why });
        }
    }

    fn ping(&mut self, now: Instant) {
        let payload = self.pings.begin(now);
        // Where the connection has just ended, that is what is told next.
        let _ = self.link.ping(&payload);
    }

    /// Has the connection closed, behind what was sent.
    fn close(&mut self, code: CloseCode, reason: String) {
        let since = Instant::now();
        self.closing.get_or_insert(Closing {
            code,
            reason,
            since,
            sent: false,
        });
    }

    fn ended(&mut self, cause: &CloseCause) -> Outcome {
        if let Some(outcome) = self.outcome {
            return outcome;
        }
        let outcome = Outcome::of(cause);
        let missing = (self.plan.wanted).is_some_and(|wanted| self.received < wanted);
        if outcome == Outcome::Normal && missing && self.closing.is_none() {
            let cause = "answer_missing";
            let why = "the server has closed before all messages came";
            self.tell(&Told::Failed { cause, why });
            return Outcome::Abnormal;
        }
        outcome
    }

    fn tell(&mut self, told: &Told<'_>) {
        if !self.unheard {
            let done = self.output.tell(told);
            self.heard(done);
        }
    }

    /// Ends the session where nobody reads: as asked, if that is because they have read enough.
    fn heard(&mut self, done: io::Result<()>) {
        let Err(error) = done else { return };
        if self.unheard {
            return;
        }
        self.unheard = true;
        let enough = error.kind() == io::ErrorKind::BrokenPipe;
        self.outcome = Some(match enough {
            true => Outcome::Normal,
            false => Outcome::Failed,
        });
        self.close(CloseCode::NORMAL, String::new());
    }

    fn give_place_back(&self) {
        let _ = self.inbox.places.try_recv();
    }
}
