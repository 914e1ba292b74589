//! [`Owner`]: the process that a run belongs to, so that a run whose process was killed is known to be dead.
//!
//! A process id alone says little: it is given again to somebody else. On Linux the owner is known by its id, its start
//! time in clock ticks since boot, and the boot; elsewhere by its id alone.

use std::process;

/// A process, alive or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its id.
    pub pid: u32,
    /// What tells it from another process with the same id; empty where that is not known.
    pub started: String,
}

impl Owner {
    /// This process.
    pub fn me() -> Owner {
        Owner::of(process::id())
    }

    /// The process that has this id now.
    pub fn of(pid: u32) -> Owner {
        Owner { pid, started: started(pid).unwrap_or_default() }
    }

    /// Whether it still runs. A process that is dead and not buried yet (a zombie) does not.
    pub fn is_alive(&self) -> bool {
        if cfg!(target_os = "linux") && !self.started.is_empty() {
            return started(self.pid).is_some_and(|started| started == self.started);
        }
        let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
        // EPERM says that it is there and somebody else's.
        pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
    }
}

/// Boot and start time of a process that is alive, from proc(5).
fn started(pid: u32) -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The second field is the command's name in parentheses, and may itself hold spaces and parentheses.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?; // field 3
    if matches!(state, "Z" | "X") {
        return None;
    }
    let ticks = fields.nth(18)?; // field 22
    Some(format!("{}/{ticks}", boot.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_and_their_heirs_are_told_from_the_living() {
        let me = Owner::me();
        assert!(me.is_alive());
        let mut child = process::Command::new("sleep").arg("60").spawn().unwrap();
        let other = Owner::of(child.id());
        assert!(other.is_alive());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!other.is_alive());
        #[cfg(target_os = "linux")]
        assert!(!Owner { started: other.started + "0", ..me }.is_alive(), "the same id, another process");
    }
}
