//! `peer add`: declares a peer.

mod adopt;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use peer_adapters::agent::{BUILTIN, Profile};
use peer_adapters::inherited::{Limit, LimitName, Umask};
use peer_adapters::runtime::RuntimeKind;
use peer_adapters::{command, nearest};

use crate::config::{PaneSize, PeerSpec, Span};
use crate::engine::peer::runtimes::kind_of;
use crate::engine::peer::{check_accepted, check_mcp};
use crate::engine::{Engine, EngineError, Result};
use crate::policy::event::EventName;
use crate::policy::health::Restart;
use crate::policy::name::PeerName;
use crate::store::Event;

/// A declaration as it was typed.
#[derive(Clone, Debug, Default)]
pub struct Declaration {
    /// `--agent`; derived from the command if not given.
    pub agent: Option<String>,
    /// `--runtime`.
    pub runtime: Option<RuntimeKind>,
    /// `--cwd`; the caller's directory if not given.
    pub cwd: Option<PathBuf>,
    /// `--idle`.
    pub idle: Option<Span>,
    /// `--restart`.
    pub restart: Option<Restart>,
    /// `--prompt`.
    pub prompt: Option<String>,
    /// `--size`.
    pub size: Option<PaneSize>,
    /// `--umask`.
    pub umask: Option<Umask>,
    /// `--nice`.
    pub nice: Option<i32>,
    /// `--limit`.
    pub limits: BTreeMap<LimitName, Limit>,
    /// `--env`.
    pub env: BTreeMap<String, String>,
    /// `--keep-env`: names of variables whose values are kept in a file that `peer` manages.
    pub keep_env: Vec<String>,
    /// `--env-file`.
    pub env_file: Option<PathBuf>,
    /// `--accept`.
    pub accept: Vec<String>,
    /// `--conversation`: one that was begun by hand, by its whole id.
    pub conversation: Option<String>,
    /// Everything after `--`.
    pub command: Vec<String>,
}

/// The result of a declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {
    /// The peer is new.
    Added,
    /// The peer was already declared exactly like this.
    Unchanged,
    /// The peer was already declared, and more of its variables are kept.
    Kept,
    /// A different declaration was replaced.
    Replaced,
}

impl Engine {
    /// Declares a peer. Everything that can be checked is checked now: profile, runtime, directory, binary.
    ///
    /// # Errors
    /// [`EngineError::Declaration`] with a hint; nothing is written then.
    pub async fn add(&self, name: &PeerName, mut typed: Declaration, replace: bool) -> Result<(Declared, PeerSpec)> {
        let Some(conversation) = typed.conversation.take() else { return self.declare(name, typed, replace).await };
        if typed.agent.is_none() && typed.command.is_empty() {
            typed.agent = Some(self.agent_with(name, &typed, &conversation)?);
        }
        if self.has_adopted(name, &conversation)? {
            return self.declare(name, typed, replace).await;
        }
        // Before anything is written: a declaration without its conversation would begin another one.
        self.check_adoptable(&self.as_declared(name, self.resolve(name, typed.clone())?)?, &conversation)?;
        let declared = self.declare(name, typed, replace).await?;
        self.adopt(name, &conversation).await?;
        Ok(declared)
    }

    async fn declare(&self, name: &PeerName, mut typed: Declaration, replace: bool) -> Result<(Declared, PeerSpec)> {
        let keep = std::mem::take(&mut typed.keep_env);
        let mut spec = self.resolve(name, typed)?;
        let kind = kind_of(&spec.runtime)?;
        self.check_version(kind, &self.runtime_binary(kind, None)?, true).await?;
        let values = self.values_to_keep(&spec, &*self.profile(&spec.agent)?, &keep)?;
        let locked = self.lock(name).await?;
        let own = PathBuf::from(self.own_env_file(name)?);
        let old = self.config.spec(name);
        let same_agent = old.as_ref().ok().and_then(Option::as_ref).filter(|old| old.agent == spec.agent);
        let is_kept = same_agent.is_some_and(|old| old.env_file.as_ref() == Some(&own));
        if spec.env_file.is_none() && (is_kept || !keep.is_empty()) {
            spec.env_file = Some(own.clone());
        }
        if keep.is_empty() {
            self.kept_variables(&spec)?;
        }
        let text = spec.to_toml();
        // What is written must be readable again.
        PeerSpec::parse(&self.config.spec_path(name), &text)?;
        let outcome = match &old {
            Ok(None) => Declared::Added,
            Ok(Some(old)) if without_path(old) == without_path(&spec) && keep.is_empty() => {
                return Ok((Declared::Unchanged, old.clone()));
            }
            Ok(Some(old)) if without_kept(old) == without_kept(&spec) && !keep.is_empty() => {
                drop(locked);
                return Ok((Declared::Kept, self.keep(name, &keep).await?));
            }
            Ok(Some(_)) | Err(_) if replace => Declared::Replaced,
            Ok(Some(_)) => return Err(declared_otherwise(name)),
            Err(_) => return Err(old.map(drop).expect_err("it is one").into()),
        };
        if !keep.is_empty() {
            self.write_kept(&locked, same_agent.filter(|_| is_kept), &values)?;
        }
        self.config.write_spec(name, &text)?;
        self.log(
            &Event::new(self.now(), EventName::PeerAdded)
                .peer(name)
                .with("agent", spec.agent.as_str())
                .with("runtime", spec.runtime.as_str())
                .with("replaced", (outcome == Declared::Replaced).then_some(true)),
        )?;
        if spec.env_file.as_ref() != Some(&own) {
            // The file belonged to a declaration that no longer exists.
            locked.forget_env()?;
        }
        Ok((outcome, spec))
    }

    fn resolve(&self, name: &PeerName, typed: Declaration) -> Result<PeerSpec> {
        let cwd = absolute_directory(typed.cwd.as_deref().unwrap_or(Path::new(".")))?;
        let agent = typed.agent.unwrap_or_else(|| self.profile_for(&typed.command));
        let profile = self.profile(&agent)?;
        declare_accepted(&agent, &profile, &typed.accept)?;
        let words = if typed.command.is_empty() { profile.command.clone() } else { typed.command };
        let Some((program, arguments)) = words.split_first() else {
            return Err(EngineError::Declaration {
                what: format!("add {name}"),
                problem: format!("the profile {agent:?} has no command of its own"),
                hint: Some(format!("peer add {name} -- COMMAND [ARG…]")),
            });
        };
        let program = self.executable_of(program, &cwd)?;
        let runtime = match (typed.runtime, &self.settings.runtime) {
            (Some(runtime), _) => runtime,
            (None, Some(configured)) => kind_of(configured)?,
            (None, None) => self.first_installed()?,
        };
        let env_file = typed.env_file.map(std::path::absolute).transpose().map_err(EngineError::Kernel)?;
        // A missing runtime is reported now, and not at the first wake.
        self.runtime_binary(runtime, None)?;
        Ok(PeerSpec {
            agent,
            command: std::iter::once(program).chain(arguments.iter().cloned()).collect(),
            cwd,
            runtime: runtime.into(),
            idle_timeout: typed.idle,
            restart: typed.restart,
            initial_prompt: typed.prompt,
            accept: (!typed.accept.is_empty()).then_some(typed.accept),
            size: typed.size,
            umask: typed.umask,
            nice: typed.nice,
            limits: typed.limits,
            env_file,
            search_path: self.var("PATH").and_then(|path| path.to_str()).map(str::to_owned),
            env: typed.env,
            ..PeerSpec::default()
        })
    }

    /// Checks what a spec's text alone cannot show: whether its profile, its runtime, its `env_file` and the dialogs
    /// that it accepts exist.
    ///
    /// # Errors
    /// One of them does not exist or is wrong.
    pub fn check(&self, name: &PeerName, spec: &PeerSpec) -> Result<()> {
        tracing::debug!(%name, "checking a spec");
        kind_of(&spec.runtime)?;
        self.kept_variables(spec)?;
        let profile = self.profile(&spec.agent)?;
        check_mcp(spec, &profile).map_err(|(problem, hint)| EngineError::Declaration {
            what: "mcp".to_owned(),
            problem,
            hint: Some(hint.to_owned()),
        })?;
        declare_accepted(&spec.agent, &profile, spec.accept.as_deref().unwrap_or_default())
    }

    /// Returns the profile whose command is the one that was typed, or the generic one.
    fn profile_for(&self, command: &[String]) -> String {
        let program = command.first().map(Path::new).and_then(Path::file_stem).and_then(OsStr::to_str);
        let known = program.filter(|name| *name != "command" && self.profile(name).is_ok());
        known.unwrap_or("command").to_owned()
    }

    fn first_installed(&self) -> Result<RuntimeKind> {
        RuntimeKind::ALL.into_iter().find(|kind| self.runtime_binary(*kind, None).is_ok()).ok_or_else(|| {
            EngineError::Declaration {
                what: "runtime".to_owned(),
                problem: format!("neither {} is on PATH", RuntimeKind::NAMES.join(" nor ")),
                hint: Some("install one of them, e.g. apt-get install tmux".to_owned()),
            }
        })
    }

    /// Resolves a program now, as a shell would, so that a wake from cron runs the same program.
    fn executable_of(&self, program: &str, cwd: &Path) -> Result<String> {
        let found = command::resolve(OsStr::new(program), self.var("PATH").map(OsString::as_os_str), cwd);
        let path = found.map_err(|_| EngineError::Declaration {
            what: format!("command {program:?}"),
            problem: "there is no such executable on PATH".to_owned(),
            hint: Some(match nearest(program, BUILTIN.iter().map(|(name, _)| *name)) {
                Some(near) if near != program => {
                    format!("did you mean {near}? Else install it, or use its absolute path")
                }
                _ => "install it, or use its absolute path".to_owned(),
            }),
        })?;
        path.into_os_string().into_string().map_err(|path| EngineError::Declaration {
            what: format!("command {}", path.display()),
            problem: "its path is not UTF-8".to_owned(),
            hint: None,
        })
    }
}

fn declared_otherwise(name: &PeerName) -> EngineError {
    EngineError::Declaration {
        what: format!("add {name}"),
        problem: "it is already declared with different settings".to_owned(),
        hint: Some(format!("peer show {name}, then the same command with --replace")),
    }
}

/// Two declarations are equal regardless of the `PATH` of the shells that made them.
fn without_path(spec: &PeerSpec) -> PeerSpec {
    PeerSpec { search_path: None, ..spec.clone() }
}

/// The spec for a comparison that also ignores kept variables.
fn without_kept(spec: &PeerSpec) -> PeerSpec {
    PeerSpec { env_file: None, ..without_path(spec) }
}

fn absolute_directory(dir: &Path) -> Result<PathBuf> {
    let failed = |source: std::io::Error| EngineError::Declaration {
        what: format!("cannot use the working directory {}", dir.display()),
        hint: (source.kind() == std::io::ErrorKind::NotFound)
            .then(|| format!("mkdir -p {}, or name another directory with --cwd", dir.display())),
        problem: source.to_string(),
    };
    let path = std::path::absolute(dir).map_err(failed)?;
    let real = std::fs::metadata(&path).map_err(failed)?;
    // `../docs` is resolved now. A symbolic link elsewhere in the path is kept, because the user may change its target
    // later.
    let climbs = path.components().any(|part| part == std::path::Component::ParentDir);
    let path = if climbs { path.canonicalize().map_err(failed)? } else { path };
    if real.is_dir() { Ok(path) } else { Err(failed(std::io::ErrorKind::NotADirectory.into())) }
}

fn declare_accepted(agent: &str, profile: &Profile, accepted: &[String]) -> Result<()> {
    check_accepted(agent, profile, accepted).map_err(|(wrong, problem, hint)| EngineError::Declaration {
        what: format!("accept {wrong:?}"),
        problem,
        hint: Some(hint),
    })
}
