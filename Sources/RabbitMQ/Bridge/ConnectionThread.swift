import AMQP
import Synchronization

#if canImport(Darwin)
import Darwin
#else
import Glibc
#endif

/// The one thread that may touch a connection: a serial executor that also drains a mailbox and waits on a socket.
///
/// Jobs (calls into the connection's actor) and mail (publishes and settlements, which are too many for a hop each) come in under one
/// lock, together with the flag that says whether the thread sleeps. So no wake-up is lost, and none is sent to a thread that is awake.
final class ConnectionThread: SerialExecutor {
    /// How long the thread may sleep after a turn: until mail comes, the socket is readable, or the time is up.
    struct SleepPlan {
        var socket: Int32?
        /// `nil` is for ever.
        var timeout: Duration?
        /// True if settlements were sent just now: those that follow may wait a moment, to be joined.
        var coalescesSettlements = false
        /// True if the broker has publishes to work on: those that follow may wait for its next confirm, or a moment.
        var coalescesPublishes = false
        /// True if a publish is likely to follow at once, as when one task awaits each of its publishes in turn.
        var expectsPublish = false
        /// True if callers wait for publishes: the watchdog must not look away.
        var hasPendingPublishes = false
    }

    /// How long mail may wait to be joined with more; the finest time that `poll()` knows.
    private static let coalescingTime = Duration.milliseconds(1)
    /// How long the thread looks out for an expected publish before it sleeps: about what falling asleep and waking up would take.
    private static let spinTime = Duration.microseconds(50)
    /// How many publishes make the mail urgent although they might wait.
    private static let largestPublishBatch = 256

    /// One round of the thread's work.
    typealias Iteration = @Sendable (consuming Mailbox, _ isReadable: Bool) -> SleepPlan
    /// Fails the publishes whose deadlines have passed; called from the watchdog's thread while this one is stuck.
    typealias Expiry = @Sendable (ContinuousClock.Instant) -> Void

    private struct State {
        var iteration: Iteration?
        var expiry: Expiry?
        var jobs: [UnownedJob] = []
        var mailbox = Mailbox()
        /// True while the watchdog looks after this thread.
        var isWatched = false
        /// Since when a turn or job is under way.
        var busySince: ContinuousClock.Instant?
        /// When the thread last had something to do.
        var lastWork = ContinuousClock.now
        /// True while callers wait for publishes.
        var hasPendingPublishes = false
        var isSleeping = false
        var coalescesSettlements = false
        var coalescesPublishes = false
        var isStopped = false

        var isEmpty: Bool { jobs.isEmpty && mailbox.isEmpty && !isStopped }

        /// Whether the watchdog is to be called.
        mutating func beginWatch() -> Bool {
            defer { isWatched = true }
            return !isWatched
        }

        /// Marks the mail as urgent.
        ///
        /// Returns true if the thread sleeps and must be woken, by the caller alone.
        mutating func requestWakeUp() -> Bool {
            mailbox.isUrgent = true
            defer { isSleeping = false }
            return isSleeping
        }
    }

    /// A turn of this length is no cause for concern.
    private static let normalIteration = Duration.milliseconds(20)
    /// After how long without work the watchdog may look away.
    private static let idleTime = Duration.seconds(1)

    private let state = Mutex(State())
    private let wakeUp: WakeUp
    private let identity = Atomic<UInt>(0)
    /// The open socket, for the watchdog; the lock keeps it open while the watchdog uses it.
    private let socket = Mutex<Int32?>(nil)
    private let callTimeout: Duration

    /// Starts the thread, which has nothing to do yet.
    ///
    /// - Parameter callTimeout: How long a call may be stuck on an open socket before that is shut down.
    /// - Throws: `connectionFailed` if the system has no thread or no file descriptor left.
    init(callTimeout: Duration) throws(AMQPError) {
        self.callTimeout = callTimeout
        wakeUp = try WakeUp()
        let body = ThreadBody { [self] in
            identity.store(Self.currentThread, ordering: .releasing)
            run()
        }
        try body.start()
    }

    /// Gives the thread its work: `turn` gets the mail that has come, learns whether the socket can be read, and says how long the thread
    /// may plan.
    ///
    /// Once, before the first post.
    func begin(expiry: @escaping Expiry, _ iteration: @escaping Iteration) {
        state.withLock { state in
            state.iteration = iteration
            state.expiry = expiry
        }
    }

    /// Ends the thread after the jobs that are waiting.
    ///
    /// Only the connection's own end may call it: a later job would never run.
    func stop() {
        let wasSleeping = state.withLock { state in
            state.isStopped = true
            defer { state.isSleeping = false }
            return state.isSleeping
        }
        if wasSleeping { wakeUp.signal() }
    }

    /// Puts a publish into the mailbox.
    ///
    /// It goes out at once, unless the broker has many to work on: then it waits for the next confirm, which wakes the thread, or a
    /// millisecond, so that one wake-up sends many.
    func post(_ publish: PendingPublish) {
        let (wasSleeping, needsWatch) = state.withLock { state in
            state.mailbox.publishes.append(publish)
            let needsWatch = state.beginWatch()
            if state.coalescesPublishes && state.mailbox.publishes.count < Self.largestPublishBatch {
                return (false, needsWatch)
            }
            return (state.requestWakeUp(), needsWatch)
        }
        if wasSleeping { wakeUp.signal() }
        if needsWatch { Watchdog.shared?.watch(self) }
    }

    /// Puts a settlement into the mailbox.
    ///
    /// It goes out at once, unless others went out a moment ago: then it waits a millisecond, or until `batch` of them are there, so that
    /// many become one frame.
    func post(_ settlement: SettlementRequest, batch: Int) {
        let (wasSleeping, needsWatch) = state.withLock { state in
            state.mailbox.settlements.append(settlement)
            let needsWatch = state.beginWatch()
            if state.coalescesSettlements && state.mailbox.settlements.count < batch { return (false, needsWatch) }
            return (state.requestWakeUp(), needsWatch)
        }
        if wasSleeping { wakeUp.signal() }
        if needsWatch { Watchdog.shared?.watch(self) }
    }

    /// Puts a call into the mailbox, which the thread makes after what was published and settled before.
    func post(_ call: @escaping Mailbox.Call) {
        let (wasSleeping, needsWatch) = state.withLock { state in
            state.mailbox.calls.append(call)
            return (state.requestWakeUp(), state.beginWatch())
        }
        if wasSleeping { wakeUp.signal() }
        if needsWatch { Watchdog.shared?.watch(self) }
    }

    // MARK: Watchdog

    /// Tells which socket is open; `nil` before it is closed.
    func setSocket(_ descriptor: Int32?) {
        socket.withLock { $0 = descriptor }
    }

    /// Helps where this thread can't help itself.
    ///
    /// Returns false if it needs no more watching.
    func inspect(at now: ContinuousClock.Instant) -> Bool {
        let (stuckFor, waiting, expiry, goesOn) = state.withLock {
            state -> (Duration, [PendingPublish], Expiry?, Bool) in
            // One that has ended was in a turn to the last, and its pipe is closed when nobody holds it any more.
            if state.isStopped { return (.zero, [], nil, false) }
            let stuckFor = state.busySince.map { $0.duration(to: now) } ?? .zero
            if stuckFor >= Self.normalIteration { return (stuckFor, state.mailbox.publishes, state.expiry, true) }
            let isIdle = state.isEmpty && !state.hasPendingPublishes && state.lastWork.duration(to: now) > Self.idleTime
            state.isWatched = !isIdle
            return (stuckFor, [], nil, !isIdle)
        }
        for publish in waiting where publish.deadline <= now { publish.failUnsent() }
        expiry?(now)
        if stuckFor > callTimeout {
            // The stuck call returns with an error then; this thread's own reading of it makes a new connection.
            socket.withLock { descriptor in
                if let descriptor { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }
            }
        }
        return goesOn
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let wasSleeping = state.withLock { state in
            state.jobs.append(job)
            defer { state.isSleeping = false }
            return state.isSleeping
        }
        if wasSleeping { wakeUp.signal() }
    }

    func checkIsolated() {
        precondition(
            identity.load(ordering: .acquiring) == Self.currentThread,
            "A connection's state was touched from another thread than its own."
        )
    }

    func isIsolatingCurrentContext() -> Bool? {
        identity.load(ordering: .acquiring) == Self.currentThread
    }

    private func run() {
        var isReadable = false
        while true {
            let (iteration, jobs, mailbox, isStopped) = state.withLock { state in
                let taken = (state.iteration, state.jobs, state.mailbox, state.isStopped)
                state.jobs = []
                state.mailbox = Mailbox()
                state.busySince = .now
                return taken
            }
            // The mailbox first: what a task settled or published before it closes something must go before the close.
            let plan = iteration?(mailbox, isReadable) ?? SleepPlan()
            for job in jobs { unsafe job.runSynchronously(on: asUnownedSerialExecutor()) }
            if isStopped && jobs.isEmpty { return }
            if plan.expectsPublish && jobs.isEmpty { spinForWork() }
            let maySleep = state.withLock { state in
                let mayMailWait =
                    !state.mailbox.isUrgent && (state.mailbox.settlements.isEmpty || plan.coalescesSettlements)
                    && (state.mailbox.publishes.isEmpty || plan.coalescesPublishes)
                state.isSleeping = jobs.isEmpty && state.jobs.isEmpty && mayMailWait && !state.isStopped
                state.coalescesSettlements = plan.coalescesSettlements
                state.coalescesPublishes = plan.coalescesPublishes
                state.lastWork = state.busySince ?? state.lastWork
                state.busySince = nil
                state.hasPendingPublishes = plan.hasPendingPublishes
                return state.isSleeping
            }
            let coalesces = plan.coalescesSettlements || plan.coalescesPublishes
            let longest = coalesces ? min(plan.timeout ?? Self.coalescingTime, Self.coalescingTime) : plan.timeout
            isReadable = wakeUp.sleep(orUntilReadable: plan.socket, timeout: maySleep ? longest : .zero)
            if maySleep { state.withLock { $0.isSleeping = false } }
        }
    }

    /// Waits for work without sleeping, for as long as that is cheaper.
    private func spinForWork() {
        let end = ContinuousClock.now + Self.spinTime
        while state.withLock({ $0.isEmpty }) && ContinuousClock.now < end { sched_yield() }
    }

    /// The calling thread's identity; never 0, which stands for "not started".
    private static var currentThread: UInt {
        #if canImport(Darwin)
        unsafe UInt(bitPattern: pthread_self())
        #else
        UInt(pthread_self())
        #endif
    }
}

extension Connection {
    /// The connection's thread is its executor.
    ///
    /// The actor keeps the thread alive, so the unowned reference is good as long as the actor.
    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe thread.asUnownedSerialExecutor() }
}

/// What callers ask of the connection thread without waiting for it.
struct Mailbox: Sendable {
    /// Something for the connection to do.
    typealias Call = @Sendable (isolated Connection) -> Void

    var publishes: [PendingPublish] = []
    var settlements: [SettlementRequest] = []
    var calls: [Call] = []

    /// True if the mail shouldn't wait: not for more settlements to join.
    var isUrgent = false

    var isEmpty: Bool { publishes.isEmpty && settlements.isEmpty && calls.isEmpty }
}

/// A pipe on whose one end a thread can sleep, together with a socket, and by whose other end other threads wake it.
final class WakeUp: Sendable {
    private let readEnd: Int32
    private let writeEnd: Int32

    init() throws(AMQPError) {
        var ends: [Int32] = [0, 0]
        guard unsafe pipe(&ends) == 0 else {
            throw AMQPError(
                .connectionFailed,
                "The system has no file descriptor left for a connection (errno \(errno)): raise the limit, or close some."
            )
        }
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        (readEnd, writeEnd) = (ends[0], ends[1])
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    /// Wakes the sleeper, now or when it next goes to sleep.
    ///
    /// A full pipe wakes it already, so that is no error.
    func signal() {
        var one: UInt8 = 1
        _ = unsafe write(writeEnd, &one, 1)
    }

    /// Sleeps until `socket` can be read, ``signal()`` is called, or the time is up; `nil` is for ever.
    ///
    /// May end early, as when a Unix signal interrupts it. Returns whether the socket can be read, or is at its end.
    func sleep(orUntilReadable socket: Int32?, timeout: Duration?) -> Bool {
        var descriptors = [pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0)]
        if let socket { descriptors.append(pollfd(fd: socket, events: Int16(POLLIN), revents: 0)) }
        _ = unsafe poll(&descriptors, nfds_t(descriptors.count), timeout?.wholeMillisecondsRoundedUp ?? -1)
        if descriptors[0].revents != 0 { takeSignals() }
        return socket != nil && descriptors[1].revents != 0
    }

    private func takeSignals() {
        var signals = [UInt8](repeating: 0, count: 64)
        while unsafe read(readEnd, &signals, signals.count) == signals.count {}
    }
}

extension Duration {
    /// Whole milliseconds, rounded up so that a sleep is never too short, and at most a day.
    fileprivate var wholeMillisecondsRoundedUp: Int32 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        guard seconds < 86_400 else { return 86_400_000 }
        return Int32(seconds) * 1000 + Int32((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}
