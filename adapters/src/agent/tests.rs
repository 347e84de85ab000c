use super::*;

#[test]
fn every_built_in_profile_parses() {
    for (name, _) in BUILTIN {
        assert_eq!(Profile::builtin(name).expect(name).name, *name);
    }
}
