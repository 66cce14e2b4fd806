//! Tests of the store that need its inside.

use super::*;

#[test]
fn busy_is_told_from_broken() {
    for code in ["5", "517", "6", "262", "55P03", "40001", "53300"] {
        assert!(is_busy(code), "{code}");
    }
    for code in ["", "1", "11", "26", "13", "23505", "42P01", "00005"] {
        assert!(!is_busy(code), "{code}");
    }
}

#[test]
fn a_path_with_odd_characters_is_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a b?c#d%20e").join("platform.sqlite");
    let url = sqlite_url(&path).unwrap();
    assert!(path.is_file() && url.ends_with("/a b%3Fc%23d%2520e/platform.sqlite?mode=rw"), "{url}");
}

#[test]
fn each_migration_is_cut_into_its_statements() {
    for migration in MIGRATIONS {
        let cut: Vec<&str> = statements(migration).collect();
        assert_eq!(cut.len(), migration.matches(";\n").count());
        assert!(cut.iter().all(|statement| statement.contains("CREATE") || statement.contains("INSERT")));
    }
}
