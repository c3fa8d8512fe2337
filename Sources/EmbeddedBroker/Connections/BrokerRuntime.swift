import AMQP
import Synchronization

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Runs a `BrokerMachine`: owns the lock, clock, journal and consumer streams that the pure machine lacks.
///
/// Each request is one call under the lock: the machine takes the request, does all that follows from it, and its
/// changes go to the journal. What readers must learn of it is delivered after the lock is released.
final class BrokerRuntime: Sendable {
    /// A consumer's stream, and the settler of its deliveries.
    struct ConsumerPort: Sendable {
        var source: DeliveryStream.Source
        var settler: EmbeddedSettler
    }

    /// Something that a consumer's stream must be given outside the lock.
    fileprivate enum PendingNotification: Sendable {
        case yield(DeliveryStream.Source, [Delivery])
        case finish(DeliveryStream.Source, AMQPError?)
        case register(DeliveryStream.Source, Bool)
    }

    struct State: Sendable {
        var machine: BrokerMachine
        var consumerPorts: [ChannelID: ConsumerPort] = [:]
        /// The settlers of the channels used by gets.
        var getSettlers: [ChannelID: EmbeddedSettler] = [:]
        fileprivate var notifications: [PendingNotification] = []
        fileprivate var isNotifying = false
        fileprivate var timer: (time: Duration, cancel: @Sendable () -> Void)?

        /// Takes the pending notifications; a caller that gets any must come back for more until there are none.
        fileprivate mutating func takeNotifications() -> [PendingNotification] {
            isNotifying = !notifications.isEmpty
            return exchange(&notifications, with: [])
        }
    }

    private let state: Mutex<State>
    private let time: BrokerTime
    let version: BrokerVersion
    private let journal: (any BrokerJournal)?
    let publishGate = PublishGate()

    init(
        version: BrokerVersion,
        time: BrokerTime,
        journal: (any BrokerJournal)? = nil,
        restoring changes: some Sequence<BrokerChange> = EmptyCollection()
    ) {
        self.version = version
        self.time = time
        self.journal = journal
        var machine = BrokerMachine(version: version, isJournaled: journal != nil, now: time.now())
        for change in changes { machine.restore(change) }
        machine.finishRestoring()
        state = Mutex(State(machine: machine))
        perform { _ in }
    }

    deinit {
        state.withLock { $0.timer?.cancel() }
    }

    // MARK: Requests

    /// Makes a request, does what follows from it, and notifies the consumers.
    @discardableResult
    func perform<Value: Sendable, Failure>(
        _ request: (inout State) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        try performJournaled(request).value
    }

    /// Reads the broker's state.
    func read<Value: Sendable>(_ body: (BrokerMachine) -> Value) -> Value {
        perform { body($0.machine) }
    }

    /// Makes a request and waits until its changes are persisted.
    func performPersisted<Value: Sendable>(
        _ summary: @autoclosure () -> String,
        _ request: (inout State) throws(BrokerRefusal) -> Value
    ) async throws(AMQPError) -> Value {
        let result = try performReportingRefusal(summary(), request)
        if let changes = result.changes { try await journal?.waitUntilPersisted(changes, until: nil) }
        return result.value
    }

    /// Makes a request, and throws a refusal as the error that a client reports.
    ///
    /// A caller that takes deliveries doesn't wait for the journal: they are on their way already.
    func performReportingRefusal<Value: Sendable>(
        _ summary: @autoclosure () -> String,
        _ request: (inout State) throws(BrokerRefusal) -> Value
    ) throws(AMQPError) -> (value: Value, changes: UInt64?) {
        do throws(BrokerRefusal) {
            return try performJournaled(request)
        } catch {
            throw .refused(summary(), error.reply)
        }
    }

    /// Makes a request and returns its value, with the journal's number for its changes if there were any.
    func performJournaled<Value: Sendable, Failure>(
        _ request: (inout State) throws(Failure) -> Value
    ) throws(Failure) -> (value: Value, changes: UInt64?) {
        let now = time.now()
        let (result, changesNumber, notifications) = state.withLock { state in
            state.machine.begin(now: now)
            let result: Result<Value, Failure>
            do throws(Failure) {
                result = .success(try request(&state))
            } catch {
                result = .failure(error)
            }
            state.machine.work()
            var changesNumber: UInt64?
            if let journal {
                let changes = state.machine.takeChanges()
                if !changes.isEmpty { changesNumber = journal.append(changes) }
            }
            resolveEffects(&state)
            armTimer(&state)
            return (result, changesNumber, state.isNotifying ? [] : state.takeNotifications())
        }
        if !notifications.isEmpty { send(notifications) }
        return (try result.get(), changesNumber)
    }

    /// Waits until the journal has persisted the changes of a number.
    func waitUntilPersisted(_ changes: UInt64, until deadline: ContinuousClock.Instant) async throws(AMQPError) {
        try await journal?.waitUntilPersisted(changes, until: deadline)
    }

    /// Ends all connections and closes the journal; without a journal it does nothing.
    func closeJournal(_ error: AMQPError) async {
        guard let journal else { return }
        perform { $0.machine.endAll(error) }
        await journal.close()
    }

    /// An id for a new connection.
    func newConnection() -> ConnectionID { perform { ConnectionID(number: $0.machine.nextNumber()) } }

    // MARK: Notifications

    /// Turns the machine's effects into notifications, joining consecutive deliveries to one reader.
    private func resolveEffects(_ state: inout State) {
        let effects = state.machine.takeEffects()
        if effects.isEmpty { return }
        let features = state.machine.features
        var reader: DeliveryStream.Source?
        var batch: [Delivery] = []
        func endBatch() {
            if let reader, !batch.isEmpty { state.notifications.append(.yield(reader, batch)) }
            reader = nil
            batch = []
        }
        for effect in effects {
            guard case .deliver(let channel, let delivered) = effect else {
                endBatch()
                resolve(effect, &state)
                continue
            }
            guard let port = state.consumerPorts[channel] else { continue }
            if reader !== port.source {
                endBatch()
                reader = port.source
            }
            batch.append(Delivery(delivered, port.settler, features))
        }
        endBatch()
    }

    private func resolve(_ effect: BrokerMachine.Effect, _ state: inout State) {
        switch effect {
        case .deliver: break
        case .end(let channel, let error):
            if let port = state.consumerPorts[channel] { state.notifications.append(.finish(port.source, error)) }
        case .lose(let channel):
            state.consumerPorts.removeValue(forKey: channel)?.settler.lose()
            state.getSettlers.removeValue(forKey: channel)?.lose()
        case .resume(let channel):
            guard let port = state.consumerPorts[channel] else { return }
            port.settler.lose()
            state.consumerPorts[channel]?.settler = EmbeddedSettler(self, channel)
            state.notifications.append(.register(port.source, false))
            state.notifications.append(.register(port.source, true))
        }
    }

    /// Notifies the readers, on the task of the first caller; concurrent callers leave their notifications to
    /// it.
    private func send(_ first: [PendingNotification]) {
        var notifications = first
        while !notifications.isEmpty {
            for notification in notifications {
                switch notification {
                case .yield(let source, let batch): source.yield(batch)
                case .finish(let source, let error): source.finish(throwing: error)
                case .register(let source, let isRegistered): source.setRegistered(isRegistered)
                }
            }
            notifications = state.withLock { $0.takeNotifications() }
        }
    }

    // MARK: Timer

    /// Arms the timer for the next due event, unless it is armed for that time or an earlier one.
    private func armTimer(_ state: inout State) {
        guard let next = state.machine.timetable.next else { return }
        if let timer = state.timer {
            if timer.time <= next { return }
            timer.cancel()
        }
        let cancel = time.schedule(next) { [weak self] in self?.timerFired() }
        state.timer = (next, cancel)
    }

    private func timerFired() {
        perform { $0.timer = nil }
    }
}

extension Delivery {
    init(_ delivered: BrokerMachine.Delivered, _ settler: EmbeddedSettler, _ features: BrokerFeatures) {
        self.init(
            message: delivered.message.delivered(from: delivered.kind, features),
            destination: delivered.message.content.destination,
            queue: delivered.queue,
            isRedelivered: delivered.message.isRedelivered,
            tag: delivered.tag,
            settler: settler
        )
    }
}

/// Settles the deliveries of one channel.
final class EmbeddedSettler: DeliverySettler {
    // Weak, so that a delivery which somebody keeps doesn't keep the broker.
    private weak let runtime: BrokerRuntime?
    private let channel: ChannelID
    private let gone = Atomic(false)

    init(_ runtime: BrokerRuntime, _ channel: ChannelID) {
        self.runtime = runtime
        self.channel = channel
    }

    var isGone: Bool { gone.load(ordering: .acquiring) }

    /// Notes that the channel is gone: its unsettled messages have been requeued.
    func lose() { gone.store(true, ordering: .releasing) }

    func settle(_ tag: UInt64, _ settlement: DeliverySettlement) {
        if isGone { return }
        runtime?.perform { $0.machine.settle(tag, on: channel, settlement) }
    }
}

/// A broker's clock: the time since 1970 by the injected clock, and timers.
///
/// Absolute times stay valid over a restart, as a journal needs.
struct BrokerTime: Sendable {
    let now: @Sendable () -> Duration
    /// Calls the action once, at the time or later; returns a function that cancels the call.
    let schedule: @Sendable (_ time: Duration, _ action: @escaping @Sendable () -> Void) -> @Sendable () -> Void

    init(_ clock: any Clock<Duration>) {
        switch clock {
        case let clock as VirtualClock: self.init(virtual: clock)
        // Lets the compiler specialize for the type: every call asks it for the time.
        case let clock as ContinuousClock: self.init(real: clock)
        default: self.init(real: clock)
        }
    }

    private init(virtual clock: VirtualClock) {
        let beginning = clock.beginning
        now = { beginning + clock.now.offset }
        schedule = { time, action in
            let number = clock.schedule(at: VirtualClock.Instant(offset: time - beginning), action)
            return { clock.cancel(number) }
        }
    }

    private init(real clock: some Clock<Duration>) {
        let start = clock.now
        let wallTime = Duration.seconds(Date().timeIntervalSince1970)
        now = { wallTime + start.duration(to: clock.now) }
        schedule = { time, action in
            // Unstructured: between calls nobody is there to wait for it. A broker has one timer at a time, and cancels
            // it when it needs another.
            let timer = Task {
                try? await clock.sleep(until: start.advanced(by: time - wallTime), tolerance: nil)
                if !Task.isCancelled { action() }
            }
            return { timer.cancel() }
        }
    }
}
