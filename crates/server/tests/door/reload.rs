//! Files of tokens and keys that change while the server runs.

use crate::common::{Wirefan, text};
use crate::folder::{ANN, Folder};
use crate::knock::enter_with;

const NEW: &str = "new-0123456789abcdef";

#[test]
fn tokens_are_read_again_on_sighup_and_by_themselves_and_nobody_is_lost() {
    let folder = Folder::new("reload");
    let file = folder.file("tokens", &format!("{ANN} ann\n"));
    let server = Wirefan::start(&["echo", "--token-file", &file]);
    let mut ann = enter_with(&server, "/", ANN).ok().unwrap();
    assert_eq!(enter_with(&server, "/", NEW).err(), Some(401));

    folder.file("tokens", &format!("{NEW} new\n"));
    server.signal("HUP");
    server.line_with("tokens and keys read again");
    assert!(enter_with(&server, "/", NEW).is_ok());
    assert_eq!(enter_with(&server, "/", ANN).err(), Some(401));
    ann.send_text("still here");
    assert_eq!(ann.next(), text("still here"));

    // A file that cannot be used changes nothing, and its tokens are not shown.
    folder.file("tokens", "hunter2\n");
    let line = server.line_with("what was known before stays in use");
    assert!(
        line.contains("line 1") && !line.contains("hunter2"),
        "{line}"
    );
    assert!(enter_with(&server, "/", NEW).is_ok());

    folder.file("tokens", &format!("{ANN} ann\n{NEW} new\n"));
    server.line_with("the files have changed: tokens and keys read again");
    assert!(enter_with(&server, "/", ANN).is_ok());
}
