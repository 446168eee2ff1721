//! An io_uring as the server wants it: safe calls in, completions out. All that is `unsafe` is here and in `lent.rs`, and
//! rests on one rule: what the kernel may still read or write belongs to this module until it says that it is done.
#![allow(
    unsafe_code,
    reason = "the kernel is handed raw addresses; each block says why they hold"
)]

use core::mem;
use core::time::Duration;
use std::collections::VecDeque;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, Probe, cqueue, opcode, squeue};

use crate::lent::{BUFFER, GROUP, Lending, Lent};

/// Entries of the queue to the kernel; more are handed over in between.
const SUBMISSIONS: u32 = 256;
/// Entries of the queue from the kernel. More than that wait in the kernel.
const COMPLETIONS: u32 = 4096;
/// ETIME: nothing happened while there was time. It has no `ErrorKind` of its own.
const ETIME: i32 = 62;
/// EINTR is one for the kernel of the ring, too: a signal came.
const EINTR: i32 = 4;

/// How sockets are accepted and read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reading {
    /// One request for many results, into buffers that the kernel picks when there is something to put into them. An idle
    /// connection has none. Linux 6.0 and later.
    Multishot,
    /// A request for each result, into a buffer that waits with it.
    Plain,
}

/// What the kernel has done. `more`: it goes on, without another request.
#[derive(Debug)]
pub(crate) enum Completion {
    Accepted {
        socket: io::Result<TcpStream>,
        more: bool,
    },
    Received {
        peer: u32,
        /// Nothing: the end.
        bytes: io::Result<Option<Received>>,
        more: bool,
    },
    Sent {
        peer: u32,
        /// The vector that was given, and how much of it has been sent.
        bytes: Vec<u8>,
        sent: io::Result<usize>,
    },
}

/// What was read, to be looked at by [`Ring::bytes`] and given back by [`Ring::give_back`].
#[derive(Debug)]
pub(crate) struct Received {
    place: Place,
    len: usize,
}

#[derive(Debug)]
enum Place {
    Lent(Lent),
    Own(Box<[u8]>),
}

/// What a completion answers, in the upper half of its `user_data`. The lower half is the peer.
#[derive(Clone, Copy)]
enum Kind {
    Cancel,
    Accept,
    Recv,
    Send,
}

/// One peer's memory in the hands of the kernel.
#[derive(Default)]
struct Held {
    /// For `Reading::Plain`.
    receiving: Option<Box<[u8]>>,
    sending: Option<Vec<u8>>,
}

/// A ring, and all memory that the kernel has of it.
pub(crate) struct Ring {
    uring: IoUring,
    /// The kernel's choice of buffers; `None` for `Reading::Plain`.
    lending: Option<Lending>,
    held: Vec<Held>,
    spares: Vec<Box<[u8]>>,
    /// What the kernel has said and nobody has looked at yet.
    entries: VecDeque<cqueue::Entry>,
}

impl Ring {
    /// A ring that reads as `wanted`, or plainly, where the kernel knows no other way.
    ///
    /// # Errors
    ///
    /// The machine does not permit io_uring, or its kernel is older than Linux 5.11.
    pub(crate) fn new(wanted: Reading) -> io::Result<Self> {
        let uring = uring()?;
        if !uring.params().is_feature_ext_arg() {
            return Err(io::Error::other("it takes Linux 5.11 to wait for a time"));
        }
        let lending = match wanted {
            Reading::Multishot if knows_multishot(&uring) => Lending::new(&uring).ok(),
            _ => None,
        };
        Ok(Self {
            uring,
            lending,
            held: Vec::new(),
            spares: Vec::new(),
            entries: VecDeque::new(),
        })
    }

    pub(crate) fn reading(&self) -> Reading {
        match self.lending {
            Some(_) => Reading::Multishot,
            None => Reading::Plain,
        }
    }

    /// Asks for the next connection, or for all that come.
    pub(crate) fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        let fd = Fd(listener.as_raw_fd());
        let entry = match self.lending {
            Some(_) => opcode::AcceptMulti::new(fd).build(),
            None => opcode::Accept::new(fd, core::ptr::null_mut(), core::ptr::null_mut()).build(),
        };
        // SAFETY: it has no addresses.
        unsafe { self.push(entry, Kind::Accept, 0) }
    }

    /// Asks for what comes next, or for all that comes. Once for each peer, until its completion says that no more follow.
    pub(crate) fn recv(&mut self, peer: u32, socket: &TcpStream) -> io::Result<()> {
        let fd = Fd(socket.as_raw_fd());
        let entry = if self.lending.is_some() {
            opcode::RecvMulti::new(fd, GROUP).build()
        } else {
            let mut buffer = self.spares.pop().unwrap_or_else(|| {
                let zeros = vec![0; BUFFER];
                zeros.into()
            });
            let entry = opcode::Recv::new(fd, buffer.as_mut_ptr(), BUFFER as u32).build();
            let before = self.held(peer).receiving.replace(buffer);
            assert!(before.is_none(), "one receive at a time");
            entry
        };
        // SAFETY: a buffer stays in `held` until the completion, at the same address. Without one, the kernel takes those
        // that `lending` keeps.
        unsafe { self.push(entry, Kind::Recv, peer) }
    }

    /// Asks to end what `recv` began; its completion says that no more follow.
    pub(crate) fn cancel_recv(&mut self, peer: u32) -> io::Result<()> {
        let entry = opcode::AsyncCancel::new(user_data(Kind::Recv, peer)).build();
        // SAFETY: it has no addresses.
        unsafe { self.push(entry, Kind::Cancel, 0) }
    }

    /// Sends the part of `bytes` behind `from`, or the beginning of it. Once for each peer, until it has completed.
    pub(crate) fn send(
        &mut self,
        peer: u32,
        socket: &TcpStream,
        bytes: Vec<u8>,
        from: usize,
    ) -> io::Result<()> {
        let part = &bytes[from..];
        let len = u32::try_from(part.len()).unwrap_or(u32::MAX);
        let entry = opcode::Send::new(Fd(socket.as_raw_fd()), part.as_ptr(), len).build();
        let before = self.held(peer).sending.replace(bytes);
        assert!(before.is_none(), "one send at a time");
        // SAFETY: the vector stays in `held` until the completion; nobody changes it there, so its bytes do not move.
        unsafe { self.push(entry, Kind::Send, peer) }
    }

    /// Hands all requests over and waits for the first completion, so long at most.
    pub(crate) fn wait(&mut self, limit: Duration) -> io::Result<()> {
        let limit = Timespec::from(limit);
        let arguments = SubmitArgs::new().timespec(&limit);
        match self.uring.submitter().submit_with_args(1, &arguments) {
            Ok(_) => {}
            Err(error) if matches!(error.raw_os_error(), Some(ETIME | EINTR)) => {}
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
            Err(error) => return Err(error),
        }
        self.entries.extend(self.uring.completion());
        Ok(())
    }

    /// The next completion of those that the last wait has found.
    pub(crate) fn next(&mut self) -> Option<Completion> {
        loop {
            let entry = self.entries.pop_front()?;
            if let Some(completion) = self.completion(&entry) {
                return Some(completion);
            }
        }
    }

    /// What was read.
    pub(crate) fn bytes<'a>(&'a mut self, received: &'a mut Received) -> &'a mut [u8] {
        let bytes: &mut [u8] = match (&mut received.place, &mut self.lending) {
            (Place::Own(buffer), _) => buffer,
            (Place::Lent(lent), Some(lending)) => lending.bytes(lent),
            (Place::Lent(_), None) => &mut [],
        };
        &mut bytes[..received.len]
    }

    /// Makes its memory free for what comes next.
    pub(crate) fn give_back(&mut self, received: Received) {
        match (received.place, &mut self.lending) {
            (Place::Own(buffer), _) => self.spares.push(buffer),
            (Place::Lent(lent), Some(lending)) => lending.give_back(lent),
            (Place::Lent(_), None) => {}
        }
    }

    /// # Safety
    ///
    /// Whatever addresses `entry` has must hold until its completion has come.
    unsafe fn push(&mut self, entry: squeue::Entry, kind: Kind, peer: u32) -> io::Result<()> {
        let entry = entry.user_data(user_data(kind, peer));
        // SAFETY: as the caller says.
        while unsafe { self.uring.submission().push(&entry) }.is_err() {
            match self.uring.submit() {
                Ok(_) => {}
                // The kernel wants its completions to be read first.
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    self.entries.extend(self.uring.completion());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn held(&mut self, peer: u32) -> &mut Held {
        let at = peer as usize;
        if self.held.len() <= at {
            self.held.resize_with(at + 1, Held::default);
        }
        &mut self.held[at]
    }

    /// Reads an entry of the kernel's, and takes back what was lent with the request.
    fn completion(&mut self, entry: &cqueue::Entry) -> Option<Completion> {
        let (kind, peer) = (entry.user_data() >> 32, entry.user_data() as u32);
        let more = cqueue::more(entry.flags());
        let result = usize::try_from(entry.result())
            .map_err(|_| io::Error::from_raw_os_error(-entry.result()));
        if kind == Kind::Accept as u64 {
            // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
            let own = |_| unsafe { TcpStream::from_raw_fd(entry.result()) };
            let socket = result.map(own);
            Some(Completion::Accepted { socket, more })
        } else if kind == Kind::Recv as u64 {
            let own = self.held(peer).receiving.take();
            let lent = cqueue::buffer_select(entry.flags());
            let place = match (own, lent, &mut self.lending) {
                (Some(buffer), _, _) => Some(Place::Own(buffer)),
                // The kernel has named it: it is ours until it is given back.
                (None, Some(id), Some(lending)) => Some(Place::Lent(lending.taken(id))),
                _ => None,
            };
            let bytes = match (result, place) {
                (Ok(len), Some(place)) if len > 0 => Ok(Some(Received { place, len })),
                (result, place) => {
                    if let Some(place) = place {
                        self.give_back(Received { place, len: 0 });
                    }
                    result.map(|_| None)
                }
            };
            Some(Completion::Received { peer, bytes, more })
        } else if kind == Kind::Send as u64 {
            let bytes = self.held(peer).sending.take().unwrap_or_default();
            Some(Completion::Sent {
                peer,
                bytes,
                sent: result,
            })
        } else {
            None
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // The kernel ends what is under way only after the ring is closed, and tells nobody: it keeps what it has.
        mem::forget(mem::take(&mut self.held));
    }
}

fn user_data(kind: Kind, peer: u32) -> u64 {
    ((kind as u64) << 32) | u64::from(peer)
}

/// With the settings for a ring of one thread, which came with Linux 6.1, or without.
fn uring() -> io::Result<IoUring> {
    let modern = IoUring::builder()
        .setup_cqsize(COMPLETIONS)
        .setup_single_issuer()
        .setup_defer_taskrun()
        .build(SUBMISSIONS);
    match modern {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => IoUring::builder()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS),
        other => other,
    }
}

/// The kernel can be asked for operations, and not for their variants. Receiving many came with Linux 6.0, as did this.
fn knows_multishot(uring: &IoUring) -> bool {
    let mut probe = Probe::new();
    uring.submitter().register_probe(&mut probe).is_ok() && probe.is_supported(opcode::SendZc::CODE)
}
