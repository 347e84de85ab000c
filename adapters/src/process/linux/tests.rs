use super::*;

#[test]
fn what_says_nothing_about_a_process_is_no_reason_to_pass_it_over() {
    use nix::libc::{EACCES, EIO, EMFILE, ENFILE, ENOENT, ENOMEM, EPERM, ESRCH};
    let is_passed_over = |errno| {
        let error = io::Error::from_raw_os_error(errno);
        is_gone_or_foreign(&error)
    };
    assert!([EACCES, EPERM, ENOENT, ESRCH].into_iter().all(is_passed_over));
    assert!(![EMFILE, ENFILE, ENOMEM, EIO].into_iter().any(is_passed_over));
    // No walk leaves a process out of which nothing is known.
    let failing = |errno| move |_: u32| unless_ended(Err::<(), _>(io::Error::from_raw_os_error(errno)));
    assert!(
        [EACCES, EPERM, ENOENT, ESRCH].into_iter().all(|errno| walk(failing(errno)).is_ok_and(|all| all.is_empty()))
    );
    assert!([EMFILE, ENFILE, ENOMEM, EIO].into_iter().all(|errno| walk(failing(errno)).is_err()));
}

#[test]
fn what_a_process_computes_is_counted() {
    let before = cpu_time(std::process::id()).expect("ours");
    while cpu_time(std::process::id()).expect("ours") < before + Duration::from_millis(30) {
        std::hint::black_box((0..10_000_u64).sum::<u64>());
    }
    assert_eq!(cpu_time(u32::MAX), None);
}

#[test]
fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
    let line = b"77 (a) b) (c) S 1 77 70 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
    let Ok(status) = parse_stat(line) else { panic!("parses") };
    assert_eq!(status.id, ProcessId { pid: 77, start: 4242 });
    assert_eq!((status.parent, status.group, status.session), (1, 77, 70));
    assert_eq!((status.stopped, status.computes, status.has_terminal), (false, false, false));
    let line = b"78 (sh) S 77 78 78 34817 78 4194304 0 0 0 0 0 0 0 0 20 0 1 0 4243 0 0";
    assert!(parse_stat(line).is_ok_and(|status| status.has_terminal));
}

#[test]
fn a_zombie_has_ended() {
    let line = b"77 (x) Z 1 77 70 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0";
    assert!(matches!(parse_stat(line), Err(StatError::Zombie)));
}

#[test]
fn a_process_whose_first_thread_has_ended_lives_on_in_the_others() {
    let line = b"24161 (zl) Z 24160 24132 11141 0 -1 4227084 144 0 0 0 0 0 0 0 20 0 2 0 1596498 0 0";
    let Ok(status) = parse_stat(line) else { panic!("it lives") };
    assert_eq!(status.id, ProcessId { pid: 24161, start: 1_596_498 });
}
