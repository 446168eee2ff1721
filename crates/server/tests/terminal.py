"""Types at `wirefan connect` through a pseudo-terminal: PROGRAM ECHO-URL ODD-URL. Run by connect.rs; ends with 1 and says why
if something is not as it should be, and after a minute in any case."""

import os
import pty
import select
import signal
import sys
import termios
import time

PATIENCE = 20
program, echo, odd = sys.argv[1:]


class Terminal:
    def __init__(self, *args, **env):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.pop("NO_COLOR", None)
            os.environ.update({"TERM": "xterm"}, **env)
            os.execv(program, [program, "connect", *args])

    def type(self, keys):
        os.write(self.fd, keys)

    def until(self, text):
        """Reads until this is seen, and returns what came before it."""
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            if not ready:
                sys.exit(f"{text} does not come: {self.seen}")
            try:
                data = os.read(self.fd, 65536)
            except OSError:  # What Linux says when the other end is closed.
                data = b""
            if not data:
                sys.exit(f"ended without {text}: {self.seen}")
            self.seen += data
        before, self.seen = self.seen.split(text, 1)
        return before

    def is_cooked(self):
        wanted = termios.ECHO | termios.ICANON | termios.ISIG
        return termios.tcgetattr(self.fd)[3] & wanted == wanted

    def end(self, code):
        end = time.monotonic() + PATIENCE
        while True:
            # Nobody else empties it.
            if select.select([self.fd], [], [], 0.01)[0]:
                try:
                    self.seen += os.read(self.fd, 65536)
                except OSError:
                    pass
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
                sys.exit("it does not end")
        if os.waitstatus_to_exitcode(status) != code:
            sys.exit(f"exit code {os.waitstatus_to_exitcode(status)}, not {code}: {self.seen}")


def check(holds, what):
    if not holds:
        sys.exit(what)


signal.alarm(60)

# Lines and commands, several keys at a time.
terminal = Terminal(echo)
terminal.until(b"\x1b[2mconnected to ")
terminal.type(b"hello\r")
terminal.until(b"\x1b[36m<\x1b[0m hello\r\n")
terminal.type(b" secret\r")
terminal.until(b" secret\r\n")
# A half-typed line stays while a message comes, and can be finished.
terminal.type(b"//slash\rhalf")
terminal.until(b"\x1b[0m /slash\r\n")
terminal.until(b"> half")
terminal.type(b" and half\r")
terminal.until(b"\x1b[0m half and half\r\n")
# Up: the line before.
terminal.type(b"\x1b[A\r")
terminal.until(b"\x1b[0m half and half\r\n")
terminal.type(b"/binary 00 ff\r")
terminal.until(b"00000000  00 ff ")
terminal.type(b"/ping\r")
terminal.until(b"pong after ")
terminal.type(b"/nonsense\r")
terminal.until(b"\x1b[31m/nonsense is no command")
terminal.type(b"/help\r")
terminal.until(b"/close [CODE] [REASON]")
# Pasted lines are one message, and what is dangerous in it does not come back as it was.
terminal.type(b"\x1b[200~a\nb\x16\x1b]0;title\x07\x1b[201~\r")
terminal.until(b"\x1b[0m a\r\n  b")
terminal.type(b"/close 4001 bye\r")
terminal.until(b"closed with 4001")
terminal.end(0)
check(terminal.is_cooked(), "the terminal is not as it was")

# Ctrl-D closes; no colours where they are not wanted.
terminal = Terminal(echo, NO_COLOR="1")
terminal.until(b"connected to ")
terminal.type(b"x\r")
check(b"\x1b[36m" not in terminal.until(b"< x\r\n"), "colours in spite of NO_COLOR")
terminal.type(b"\x04")
terminal.until(b"closed with 1000")
terminal.end(0)

# The server closes: what it says cannot clear the screen, and the terminal is as it was.
terminal = Terminal(odd + "/4000")
terminal.until(b"peer closed with 4000")
terminal.until(b"so\\u{1b}[2J")
terminal.end(4)
check(b"\x1b[?2004l" in terminal.seen, "text that is pasted later is still in brackets")
check(terminal.is_cooked(), "the terminal does not echo")
