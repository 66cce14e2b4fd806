//! Landlock: which paths can still be opened, and for what.

use crate::{SealError, Spec};
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    PathFdError, RestrictionStatus, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
    make_bitflags, path_beneath_rules,
};
use std::path::Path;

/// The newest version whose rights we know. Newer kernels are asked for these rights only.
const NEWEST: ABI = ABI::V9;
/// Before version 3 a file outside the rules could be truncated.
const NEEDED: u32 = 3;

/// What lazy imports of Python, numpy, pandas and matplotlib read besides the interpreter's own directories. No file here
/// is about a user or a secret; `/etc` as a whole, `/proc`, `/sys` and `/dev` are absent on purpose.
const SYSTEM_READ: [&str; 9] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/share/zoneinfo",
    "/usr/share/fonts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/dev/urandom",
];
/// What can be read and written without effect.
const SYSTEM_WRITE: [&str; 1] = ["/dev/null"];

/// What landlock is in force.
#[derive(Debug)]
pub(crate) struct Restricted {
    pub(crate) abi: u32,
    pub(crate) network: bool,
    pub(crate) scope: bool,
}

/// Restricts the calling thread, and all that it starts, to the paths of `spec`.
pub(crate) fn restrict(spec: &Spec) -> Result<Restricted, SealError> {
    // Best effort per right: each kernel gives all the rights it knows. What is enough is judged on the result, below.
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()?;
    judge(add_rules(rules, spec)?.restrict_self()?, spec.without_landlock)
}

fn add_rules(rules: RulesetCreated, spec: &Spec) -> Result<RulesetCreated, SealError> {
    // AccessFs::from_read would grant Execute.
    let read = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    // No symbolic links (nobody who walks the scratch directory can be led out of it), devices, sockets or pipes.
    let write =
        read | make_bitflags!(AccessFs::{WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir | Refer});
    let device = make_bitflags!(AccessFs::{ReadFile | WriteFile});
    let mut rules =
        rules.add_rules(path_beneath_rules(SYSTEM_READ, read))?.add_rules(path_beneath_rules(SYSTEM_WRITE, device))?;
    for (paths, access) in [(&spec.read, read), (&spec.write, write)] {
        for path in paths {
            rules = rules.add_rule(beneath(path, access)?)?;
        }
    }
    Ok(rules)
}

fn beneath(path: &Path, access: BitFlags<AccessFs>) -> Result<PathBeneath<PathFd>, SealError> {
    let failed = |source: PathFdError| SealError::Path { path: path.to_path_buf(), source };
    let handle = PathFd::new(path).map_err(failed)?;
    // A right on the content of a directory is refused for a file.
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
    Ok(PathBeneath::new(handle, access))
}

fn judge(status: RestrictionStatus, may_be_absent: bool) -> Result<Restricted, SealError> {
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if status.ruleset != RulesetStatus::NotEnforced => {
            effective_abi
        }
        _ => ABI::Unsupported,
    };
    let found = number(abi);
    if found < NEEDED && !may_be_absent {
        return Err(SealError::NoLandlock { found, needed: NEEDED });
    }
    Ok(Restricted { abi: found, network: abi >= ABI::V4, scope: abi >= ABI::V6 })
}

fn number(abi: ABI) -> u32 {
    match abi {
        ABI::V1 => 1,
        ABI::V2 => 2,
        ABI::V3 => 3,
        ABI::V4 => 4,
        ABI::V5 => 5,
        ABI::V6 => 6,
        ABI::V7 => 7,
        ABI::V8 => 8,
        ABI::V9 => 9,
        _ => 0,
    }
}
