//! What lies between a connected socket and the handshake's answer: a proxy, TLS, the request, another server to which we
//! are sent. Part of a worker's turn, as `steps.rs`.

use core::mem;
use std::io::ErrorKind;
use std::sync::Arc;

use wirefan_protocol::Input;

use super::dialling::Phase;
use super::proxy::{Next, Talk};
use super::{Dial, DialError, Dialling, RedirectError};
use crate::slot::{Flags, Stage};
use crate::transport::Transport;
use crate::worker::Worker;
use crate::{CloseCause, Handler};

impl<H: Handler> Worker<H> {
    /// A socket has connected, to the server or to a proxy.
    pub(super) fn begin(&mut self, index: u32) {
        let Some(dialling) = self.core.dialling(index) else {
            return;
        };
        let Some(proxy) = &dialling.proxy else {
            return self.through(index);
        };
        match Talk::begin(proxy, &dialling.dial.target) {
            Ok((talk, first)) => {
                dialling.phase = Phase::Proxy(Box::new(talk));
                self.say(index, first);
            }
            Err(why) => self.core.fail_dial(index, DialError::Proxy(why)),
        }
    }

    /// A proxy has said something.
    pub(super) fn hear_proxy(&mut self, index: u32, input: &mut Input<'_>) {
        let Some(Dialling {
            phase: Phase::Proxy(talk),
            ..
        }) = self.core.dialling(index)
        else {
            return;
        };
        let bytes = mem::replace(input, Input::new(&mut [])).into_rest();
        match talk.hear(bytes) {
            Ok(Next::Wait) => {}
            Ok(Next::Say(bytes)) => self.say(index, bytes),
            Ok(Next::Through) => self.through(index),
            Err(why) => self.core.fail_dial(index, DialError::Proxy(why)),
        }
    }

    /// We are sent elsewhere: from the beginning, with a socket that is not there yet.
    pub(super) fn follow(&mut self, index: u32, followed: Result<Dial, RedirectError>) {
        let now = self.core.now;
        let dial = match followed {
            Ok(dial) => dial,
            Err(why) => return self.core.fail_dial(index, DialError::Redirect(why)),
        };
        let Some(slot) = self.core.slots.get_mut(index) else {
            return;
        };
        let Stage::Dialling(dialling) = &mut slot.stage else {
            return;
        };
        dialling.restart(dial, now);
        mem::replace(&mut slot.socket, Transport::Unconnected).leave();
        slot.outbox = None;
        // Those that are about the old socket. It may be in a list.
        slot.flags = Flags {
            again: slot.flags.again,
            dirty: slot.flags.dirty,
            ..Flags::default()
        };
        self.core.dialled.wanted.push(index);
        self.core.arm(index);
    }

    /// There is a way to the server: TLS comes first, if it is wanted.
    fn through(&mut self, index: u32) {
        match self.core.dialling(index) {
            Some(dialling) if dialling.dial.target.secure => self.secure(index),
            _ => self.ask(index),
        }
    }

    #[cfg(feature = "tls")]
    fn secure(&mut self, index: u32) {
        let Some(slot) = self.core.slots.get_mut(index) else {
            return;
        };
        let Stage::Dialling(dialling) = &mut slot.stage else {
            return;
        };
        let Some(tls) = &dialling.dial.tls else {
            return self.core.fail_dial(index, DialError::NoTls);
        };
        let socket = mem::replace(&mut slot.socket, Transport::Unconnected);
        match socket.secured(tls, &dialling.dial.target.host) {
            Ok(socket) => {
                slot.socket = socket;
                dialling.phase = Phase::Securing;
                self.core.write_backlog(index);
            }
            Err(why) => self.core.fail_dial(index, DialError::Tls(why)),
        }
    }

    #[cfg(not(feature = "tls"))]
    fn secure(&mut self, index: u32) {
        self.core.fail_dial(index, DialError::NoTls);
    }

    /// Nothing more has come for now. What waited for TLS may be said.
    #[cfg(feature = "tls")]
    pub(crate) fn dial_waits(&mut self, index: u32) {
        if let Some(slot) = self.core.slots.get_mut(index)
            && let Stage::Dialling(dialling) = &slot.stage
            && let Phase::Securing = dialling.phase
            && !slot.socket.is_handshaking()
        {
            self.ask(index);
        }
    }

    /// Sends the request.
    fn ask(&mut self, index: u32) {
        let config = Arc::clone(&self.core.settings.protocol);
        let Some(dialling) = self.core.dialling(index) else {
            return;
        };
        match dialling.dial.handshake(&config) {
            Ok((handshake, request)) => {
                dialling.phase = Phase::Asking(Box::new(handshake));
                self.say(index, request);
            }
            Err(why) => self.core.fail_dial(index, why),
        }
    }

    /// Sends bytes that are no frames.
    fn say(&mut self, index: u32, bytes: Vec<u8>) {
        let len = bytes.len();
        if self
            .core
            .slots
            .get(index)
            .is_some_and(|slot| slot.outbox.is_some())
        {
            // An answer to what has not been said.
            return self
                .core
                .end(index, CloseCause::Reset(ErrorKind::InvalidData));
        }
        let mut outbox = self.core.spares.take();
        outbox.push_begun(bytes.into(), len);
        if let Some(slot) = self.core.slots.get_mut(index) {
            slot.outbox = Some(outbox);
            self.core.write_backlog(index);
        }
    }
}
