use super::*;

#[test]
fn messages_show_the_last_lines_that_say_something() {
    assert_eq!(
        last_lines("a\n\u{1b}[31mno such model\u{1b}[0m\n─────\n\n  exit 1 \n╰──╯\n", 2),
        ["no such model", "exit 1"]
    );
    assert!(last_lines("───\n\n", 2).is_empty());
}
