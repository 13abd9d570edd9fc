//! What a scenario plays on: gates, named threads and HTTP servers; and what it gives back, an application to drive.

use crate::setting::Setting;
use axum::Router;
use axum::routing::get;
use gatherlock::catalogue::{Gate, Journal, Problem, Running, Trial, this_thread};
use gatherlock::model::{ChildEvent, Command, Endpoint};
use gatherlock_guard::Listener;
use nix::sys::socket::{Backlog, listen};
use std::collections::HashMap;
use std::net::{Ipv4Addr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Workers of each server's runtime: what `#[tokio::main]` gives on a small machine.
pub(crate) const WORKERS: usize = 4;

/// How long a story waits for a thread to park before it says that something went wrong: far longer than any delay.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What a scenario is given.
#[derive(Clone)]
pub(crate) struct Stage {
    /// The variant and the parameters of the case.
    pub(crate) setting: Setting,
    trial: Trial,
}

impl Stage {
    pub(crate) fn new(setting: Setting, trial: &Trial) -> Stage {
        Stage { setting, trial: trial.clone() }
    }

    /// The same stage with one parameter more, for a scenario that plays another one.
    pub(crate) fn with_param(&self, name: &str, value: &str) -> Stage {
        let mut stage = self.clone();
        stage.setting.params.insert(name.to_string(), value.to_string());
        stage
    }

    /// A variant's own deadline: half the bound, so that "within the bound" is no race with itself.
    pub(crate) fn deadline(&self) -> Duration {
        self.trial.bound / 2
    }

    /// Where to say what happens.
    pub(crate) fn journal(&self) -> &Journal {
        &self.trial.journal
    }

    /// A gate whose arrivals are journalled as points of the story.
    pub(crate) fn gate(&self, point: &'static str) -> Result<Arc<Gate>, Problem> {
        Ok(Arc::new(Gate::new(point, self.journal())?))
    }

    /// Starts a thread of the application under its name (at most 15 bytes) and returns its tid. If its role goes wrong,
    /// the trial is void, and the journal says why.
    pub(crate) fn actor(
        &self,
        name: &str,
        role: impl FnOnce() -> Result<(), Problem> + Send + 'static,
    ) -> Result<i32, Problem> {
        let (tell, told) = mpsc::channel();
        let (journal, who) = (self.journal().clone(), name.to_string());
        std::thread::Builder::new().name(name.to_string()).spawn(move || {
            let _ = tell.send(this_thread());
            if let Err(problem) = role() {
                journal.say(ChildEvent::Failed { problem: format!("{who}: {problem}") });
            }
        })?;
        Ok(told.recv()?)
    }
}

type Action = Box<dyn FnMut() -> Result<(), Problem>>;
type Count = Box<dyn Fn() -> u64 + Send + Sync>;
/// A task of the application.
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;
/// A task that cannot leave the thread it was made on; so it is made there.
type LocalTask = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// An application ready to be served and driven.
pub(crate) struct App {
    nodes: Vec<Node>,
    canary: Option<String>,
    volatile: Vec<String>,
    actions: HashMap<Command, Action>,
    counts: Vec<(String, Count)>,
}

/// One HTTP server.
struct Node {
    name: String,
    port: u16,
    routes: Router,
    runtime: Runtime,
    /// What serves the metrics in the place of the route, if anything does.
    listener: Option<Listener>,
}

/// What the server and the application's tasks run on.
enum Runtime {
    /// `#[tokio::main]`.
    Workers(Vec<Task>),
    /// `#[tokio::main(flavor = "current_thread")]`.
    OneThread(Vec<LocalTask>),
}

impl App {
    /// An application with one endpoint: `/metrics` as the variant routes it. `bump` adds 1 to
    /// `gatherlock_canary_total`.
    pub(crate) fn new(metrics: Router, mut bump: impl FnMut() + 'static) -> App {
        App {
            nodes: vec![Node {
                name: String::new(),
                port: 0,
                routes: metrics,
                runtime: Runtime::Workers(Vec::new()),
                listener: None,
            }],
            canary: Some("gatherlock_canary_total".to_string()),
            volatile: Vec::new(),
            actions: HashMap::new(),
            counts: Vec::new(),
        }
        .on(Command::Bump, move || {
            bump();
            Ok(())
        })
    }

    /// What to do at a command, in place of anything said before.
    pub(crate) fn on(mut self, command: Command, action: impl FnMut() -> Result<(), Problem> + 'static) -> App {
        self.actions.insert(command, Box::new(action));
        self
    }

    /// A family that may come or go while the mistake is armed.
    pub(crate) fn volatile(mut self, family: &str) -> App {
        self.volatile.push(family.to_string());
        self
    }

    /// A final count for the journal. It must not take a lock that the scenario may have wedged.
    pub(crate) fn count(mut self, name: &str, value: impl Fn() -> u64 + Send + Sync + 'static) -> App {
        self.counts.push((name.to_string(), Box::new(value)));
        self
    }

    /// The same application with tasks on its runtime.
    pub(crate) fn with_tasks<F>(mut self, tasks: impl IntoIterator<Item = F>) -> App
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let tasks: Vec<Task> = tasks.into_iter().map(|task| Box::pin(task) as Task).collect();
        for (node, tasks) in self.nodes.iter_mut().zip([tasks]) {
            node.runtime = Runtime::Workers(tasks);
        }
        self
    }

    /// The same application with a runtime of one thread, and tasks on it.
    pub(crate) fn on_one_thread(mut self, tasks: Vec<LocalTask>) -> App {
        for (node, tasks) in self.nodes.iter_mut().zip([tasks]) {
            node.runtime = Runtime::OneThread(tasks);
        }
        self
    }

    /// The same application, its metrics served by `listener` and not by the route.
    pub(crate) fn served_by(mut self, listener: Listener) -> App {
        for (node, listener) in self.nodes.iter_mut().zip([listener]) {
            node.listener = Some(listener);
        }
        self
    }

    /// The same application as a node of a cluster: under a name, on a fixed port of 127.0.0.1.
    pub(crate) fn into_node(mut self, name: &str, port: u16) -> App {
        for node in &mut self.nodes {
            (node.name, node.port) = (name.to_string(), port);
        }
        self
    }

    /// The same application with `/ready`, which answers like `/health`.
    pub(crate) fn with_ready(mut self) -> App {
        for node in &mut self.nodes {
            node.routes = std::mem::take(&mut node.routes).route("/ready", get(async || "READY"));
        }
        self
    }

    /// Several applications as one: each command goes to all of them, in order.
    pub(crate) fn cluster(apps: Vec<App>) -> App {
        let mut whole =
            App { nodes: Vec::new(), canary: None, volatile: Vec::new(), actions: HashMap::new(), counts: Vec::new() };
        let mut actions: HashMap<Command, Vec<Action>> = HashMap::new();
        for app in apps {
            whole.nodes.extend(app.nodes);
            whole.canary = whole.canary.or(app.canary);
            whole.volatile.extend(app.volatile);
            whole.counts.extend(app.counts);
            app.actions.into_iter().for_each(|(command, action)| actions.entry(command).or_default().push(action));
        }
        for (command, mut parts) in actions {
            whole = whole.on(command, move || parts.iter_mut().try_for_each(|part| part()));
        }
        whole.volatile.sort();
        whole.volatile.dedup();
        whole
    }

    /// Listens, and hands the rest over to the parent's commands.
    pub(crate) fn serve(self) -> Result<Running, Problem> {
        let endpoints = self.nodes.into_iter().map(Node::serve).collect::<Result<_, _>>()?;
        let (mut actions, counts) = (self.actions, self.counts);
        Ok(Running {
            endpoints,
            canary: self.canary,
            volatile: self.volatile,
            perform: Box::new(move |command| match (actions.get_mut(&command), command) {
                (Some(action), _) => action(),
                (None, Command::Grow) => Err("this scenario does not grow".into()),
                (None, _) => Ok(()),
            }),
            counts: Box::new(move || counts.iter().map(|(name, value)| (name.clone(), value())).collect()),
            detector: detector(),
        })
    }
}

impl Node {
    /// Starts the server on a runtime of its own, which lives as long as the process.
    fn serve(self) -> Result<Endpoint, Problem> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).map_err(|error| {
            format!("cannot listen on 127.0.0.1:{}: {error}; the scenario needs this very port", self.port)
        })?;
        listener.set_nonblocking(true)?;
        // As many as a listener of tokio's own takes. With std's 128 a storm would measure dropped connection requests.
        listen(&listener, Backlog::new(1024)?)?;
        let address = listener.local_addr()?;
        let routes = self.routes.route("/health", get(async || "OK"));
        match self.runtime {
            Runtime::Workers(tasks) => on_workers(listener, routes, tasks)?,
            Runtime::OneThread(tasks) => on_one_thread(listener, routes, tasks)?,
        }
        let metrics = self.listener.as_ref().map_or(address, Listener::local_addr);
        // It serves until the process ends.
        std::mem::forget(self.listener);
        Ok(Endpoint {
            name: self.name,
            metrics: format!("http://{metrics}/metrics"),
            health: Some(format!("http://{address}/health")),
        })
    }
}

fn on_workers(listener: TcpListener, routes: Router, tasks: Vec<Task>) -> Result<(), Problem> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let inside = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(listener)?;
    runtime.spawn(async move { axum::serve(listener, routes).await });
    for task in tasks {
        runtime.spawn(task);
    }
    drop(inside);
    std::mem::forget(runtime);
    Ok(())
}

fn on_one_thread(listener: TcpListener, routes: Router, tasks: Vec<LocalTask>) -> Result<(), Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("main-runtime".to_string()).spawn(move || {
        let local = tokio::task::LocalSet::new();
        for task in tasks {
            local.spawn_local(task());
        }
        local.block_on(&runtime, async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, routes).await
        })
    })?;
    Ok(())
}

/// `parking_lot`'s own detector, where it is compiled in.
fn detector() -> Option<fn() -> Vec<u32>> {
    #[cfg(feature = "deadlock-detection")]
    return Some(|| parking_lot::deadlock::check_deadlock().iter().map(|cycle| cycle.len() as u32).collect());
    #[cfg(not(feature = "deadlock-detection"))]
    None
}
