import AMQP
import Synchronization

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The machine with what it isn't: the lock, the clock, the journal, and the streams that consumers read.
final class BrokerRuntime: Sendable {
    /// What a consumer reads, and what its deliveries are settled through.
    struct ConsumerPort: Sendable {
        var stream: DeliveryStream
        var settler: EmbeddedSettler
    }

    /// What is to be done without the lock.
    fileprivate enum PendingNotification: Sendable {
        case yield(DeliveryStream, [Delivery])
        case finish(DeliveryStream, AMQPError?)
        case register(DeliveryStream, Bool)
    }

    struct State: Sendable {
        var machine: BrokerMachine
        var consumerPorts: [ChannelID: ConsumerPort] = [:]
        /// The settlers of the channels of gets.
        var getSettlers: [ChannelID: EmbeddedSettler] = [:]
        fileprivate var notifications: [PendingNotification] = []
        fileprivate var isNotifying = false
        fileprivate var timer: (time: Duration, cancel: @Sendable () -> Void)?

        /// Takes what is to be handed over; whoever has any must come back for more, until there is none.
        fileprivate mutating func takeNotifications() -> [PendingNotification] {
            isNotifying = !notifications.isEmpty
            return exchange(&notifications, with: [])
        }
    }

    private let state: Mutex<State>
    let time: BrokerTime
    let version: BrokerVersion
    private let journal: (any BrokerJournal)?
    let alarm = PublishGate()

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
        machine.restored()
        state = Mutex(State(machine: machine))
        perform { _ in }
    }

    /// Makes a request, does what follows from it, and tells the consumers.
    @discardableResult
    func perform<Value: Sendable, Failure>(
        _ request: (inout State) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        try performJournaled(request).value
    }

    /// Makes a request and waits until what it changed is kept.
    func performPersisted<Value: Sendable>(
        _ summary: @autoclosure () -> String,
        _ request: (inout State) throws(BrokerRefusal) -> Value
    ) async throws(AMQPError) -> Value {
        let result = try performReportingRefusal(summary(), request)
        if let number = result.number { try await journal?.waitUntilPersisted(number, until: nil) }
        return result.value
    }

    /// Makes a request that a broker can refuse; the number is the journal's, of what it changed.
    ///
    /// Who takes deliveries doesn't wait for the journal: they are out already.
    func performReportingRefusal<Value: Sendable>(
        _ summary: @autoclosure () -> String,
        _ request: (inout State) throws(BrokerRefusal) -> Value
    ) throws(AMQPError) -> (value: Value, number: UInt64?) {
        do throws(BrokerRefusal) {
            return try performJournaled(request)
        } catch {
            throw .refused(summary(), error.reply)
        }
    }

    /// Makes a request; the number is the journal's, of what it changed.
    func performJournaled<Value: Sendable, Failure>(
        _ request: (inout State) throws(Failure) -> Value
    ) throws(Failure) -> (value: Value, number: UInt64?) {
        let now = time.now()
        let (result, number, notifications) = state.withLock { state in
            state.machine.begin(now: now)
            let result: Result<Value, Failure>
            do throws(Failure) {
                result = .success(try request(&state))
            } catch {
                result = .failure(error)
            }
            state.machine.work()
            var number: UInt64?
            if let journal {
                let changes = state.machine.takeChanges()
                if !changes.isEmpty { number = journal.append(changes) }
            }
            resolve(&state)
            armTimer(&state)
            return (result, number, state.isNotifying ? [] : state.takeNotifications())
        }
        if !notifications.isEmpty { send(notifications) }
        return (try result.get(), number)
    }

    /// Waits until the journal has kept what has this number.
    func waitUntilPersisted(_ number: UInt64, until deadline: ContinuousClock.Instant) async throws(AMQPError) {
        try await journal?.waitUntilPersisted(number, until: deadline)
    }

    /// Ends all connections and the journal, if there is one; without, everything stays.
    func closeJournal(_ error: AMQPError) async {
        guard let journal else { return }
        perform { $0.machine.endAll(error) }
        await journal.close()
    }

    /// A number for a connection.
    func newConnection() -> ConnectionID { perform { ConnectionID(number: $0.machine.nextNumber()) } }

    /// Reads the broker's state.
    func read<Value: Sendable>(_ body: (BrokerMachine) -> Value) -> Value {
        perform { body($0.machine) }
    }

    /// Turns the machine's effects into what is to be told without the lock, deliveries to one reader together.
    private func resolve(_ state: inout State) {
        let effects = state.machine.takeEffects()
        if effects.isEmpty { return }
        let features = state.machine.features
        var reader: DeliveryStream?
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
            if reader !== port.stream {
                endBatch()
                reader = port.stream
            }
            batch.append(Delivery(delivered, port.settler, features))
        }
        endBatch()
    }

    private func resolve(_ effect: BrokerMachine.Effect, _ state: inout State) {
        switch effect {
        case .deliver: break
        case .end(let channel, let error):
            if let port = state.consumerPorts[channel] { state.notifications.append(.finish(port.stream, error)) }
        case .lose(let channel):
            state.consumerPorts.removeValue(forKey: channel)?.settler.lose()
            state.getSettlers.removeValue(forKey: channel)?.lose()
        case .resume(let channel):
            guard let port = state.consumerPorts[channel] else { return }
            port.settler.lose()
            state.consumerPorts[channel]?.settler = EmbeddedSettler(self, channel)
            state.notifications.append(.register(port.stream, false))
            state.notifications.append(.register(port.stream, true))
        }
    }

    /// Tells the readers, in order, on the task of whoever comes first; the others leave theirs to it.
    private func send(_ first: [PendingNotification]) {
        var notifications = first
        while !notifications.isEmpty {
            for notification in notifications {
                switch notification {
                case .yield(let stream, let batch): stream.yield(batch)
                case .finish(let stream, let error): stream.finish(throwing: error)
                case .register(let stream, let isRegistered): stream.setRegistered(isRegistered)
                }
            }
            notifications = state.withLock { $0.takeNotifications() }
        }
    }

    /// Makes sure to be called when something is due.
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

    deinit {
        state.withLock { $0.timer?.cancel() }
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

/// What the deliveries of one channel are settled through.
final class EmbeddedSettler: DeliverySettler {
    // Weak: a delivery that somebody keeps doesn't keep the broker.
    private weak let runtime: BrokerRuntime?
    private let channel: ChannelID
    private let gone = Atomic(false)

    init(_ runtime: BrokerRuntime, _ channel: ChannelID) {
        self.runtime = runtime
        self.channel = channel
    }

    var isGone: Bool { gone.load(ordering: .acquiring) }

    /// What is unsettled has gone back to its queue.
    func lose() { gone.store(true, ordering: .releasing) }

    func settle(_ tag: UInt64, _ settlement: DeliverySettlement) {
        if isGone { return }
        runtime?.perform { $0.machine.settle(tag, on: channel, settlement) }
    }
}

/// A broker's time: how long after 1970 it is by the injected clock, and how to be called at a moment.
///
/// Absolute times can be kept over a restart, as a journal must.
struct BrokerTime: Sendable {
    let now: @Sendable () -> Duration
    /// Calls the action once, at the time or later; returns the way to cancel that.
    let schedule: @Sendable (_ time: Duration, _ action: @escaping @Sendable () -> Void) -> @Sendable () -> Void

    init(_ clock: any Clock<Duration>) {
        switch clock {
        case let clock as VirtualClock: self.init(virtual: clock)
        // For the compiler to know the type: it is asked for the time with every call.
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
            // Unstructured: between calls nobody is there to wait for it. A broker has one at a time, and cancels it when it needs another.
            let timer = Task {
                try? await clock.sleep(until: start.advanced(by: time - wallTime), tolerance: nil)
                if !Task.isCancelled { action() }
            }
            return { timer.cancel() }
        }
    }
}
