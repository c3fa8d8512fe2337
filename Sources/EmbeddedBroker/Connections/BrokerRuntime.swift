import AMQP
import Synchronization

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The machine with what it isn't: the lock, the clock, the journal, and the streams that consumers read.
final class BrokerCore: Sendable {
    /// What a consumer reads, and what its deliveries are settled through.
    struct Outlet: Sendable {
        var stream: DeliveryStream
        var settler: EmbeddedSettler
    }

    /// What is to be done without the lock.
    fileprivate enum Handover: Sendable {
        case yield(DeliveryStream, [Delivery])
        case finish(DeliveryStream, AMQPError?)
        case register(DeliveryStream, Bool)
    }

    struct State: Sendable {
        var machine: BrokerMachine
        var outlets: [ChannelID: Outlet] = [:]
        /// The settlers of the channels of gets.
        var getSettlers: [ChannelID: EmbeddedSettler] = [:]
        fileprivate var handovers: [Handover] = []
        fileprivate var isHandingOver = false
        fileprivate var wakeUp: (time: Duration, cancel: @Sendable () -> Void)?

        /// Takes what is to be handed over; whoever has any must come back for more, until there is none.
        fileprivate mutating func takeHandovers() -> [Handover] {
            isHandingOver = !handovers.isEmpty
            return exchange(&handovers, with: [])
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
        try performAndNote(request).value
    }

    /// Makes a request and waits until what it changed is kept.
    func performKept<Value: Sendable>(
        _ summary: @autoclosure () -> String,
        _ request: (inout State) throws(Refusal) -> Value
    ) async throws(AMQPError) -> Value {
        let result = try performOrRefuse(summary(), request)
        if let number = result.number { try await journal?.isKept(number, until: nil) }
        return result.value
    }

    /// Makes a request that a broker can refuse; the number is the journal's, of what it changed.
    ///
    /// Who takes deliveries doesn't wait for the journal: they are out already.
    func performOrRefuse<Value: Sendable>(
        _ summary: @autoclosure () -> String,
        _ request: (inout State) throws(Refusal) -> Value
    ) throws(AMQPError) -> (value: Value, number: UInt64?) {
        do throws(Refusal) {
            return try performAndNote(request)
        } catch {
            throw .refused(summary(), error.reply)
        }
    }

    /// Makes a request; the number is the journal's, of what it changed.
    func performAndNote<Value: Sendable, Failure>(
        _ request: (inout State) throws(Failure) -> Value
    ) throws(Failure) -> (value: Value, number: UInt64?) {
        let now = time.now()
        let (result, number, handovers) = state.withLock { state in
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
            armWakeUp(&state)
            return (result, number, state.isHandingOver ? [] : state.takeHandovers())
        }
        if !handovers.isEmpty { handOver(handovers) }
        return (try result.get(), number)
    }

    /// Waits until the journal has kept what has this number.
    func isKept(_ number: UInt64, until deadline: ContinuousClock.Instant) async throws(AMQPError) {
        try await journal?.isKept(number, until: deadline)
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
            if let reader, !batch.isEmpty { state.handovers.append(.yield(reader, batch)) }
            reader = nil
            batch = []
        }
        for effect in effects {
            guard case .deliver(let channel, let delivered) = effect else {
                endBatch()
                resolve(effect, &state)
                continue
            }
            guard let outlet = state.outlets[channel] else { continue }
            if reader !== outlet.stream {
                endBatch()
                reader = outlet.stream
            }
            batch.append(Delivery(delivered, outlet.settler, features))
        }
        endBatch()
    }

    private func resolve(_ effect: BrokerMachine.Effect, _ state: inout State) {
        switch effect {
        case .deliver: break
        case .end(let channel, let error):
            if let outlet = state.outlets[channel] { state.handovers.append(.finish(outlet.stream, error)) }
        case .lose(let channel):
            state.outlets.removeValue(forKey: channel)?.settler.lose()
            state.getSettlers.removeValue(forKey: channel)?.lose()
        case .resume(let channel):
            guard let outlet = state.outlets[channel] else { return }
            outlet.settler.lose()
            state.outlets[channel]?.settler = EmbeddedSettler(self, channel)
            state.handovers.append(.register(outlet.stream, false))
            state.handovers.append(.register(outlet.stream, true))
        }
    }

    /// Tells the readers, in order, on the task of whoever comes first; the others leave theirs to it.
    private func handOver(_ first: [Handover]) {
        var handovers = first
        while !handovers.isEmpty {
            for handover in handovers {
                switch handover {
                case .yield(let stream, let batch): stream.yield(batch)
                case .finish(let stream, let error): stream.finish(throwing: error)
                case .register(let stream, let isRegistered): stream.setRegistered(isRegistered)
                }
            }
            handovers = state.withLock { $0.takeHandovers() }
        }
    }

    /// Makes sure to be called when something is due.
    private func armWakeUp(_ state: inout State) {
        guard let next = state.machine.timetable.next else { return }
        if let wakeUp = state.wakeUp {
            if wakeUp.time <= next { return }
            wakeUp.cancel()
        }
        let cancel = time.wake(next) { [weak self] in self?.wokenUp() }
        state.wakeUp = (next, cancel)
    }

    private func wokenUp() {
        perform { $0.wakeUp = nil }
    }

    deinit {
        state.withLock { $0.wakeUp?.cancel() }
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
    private weak let core: BrokerCore?
    private let channel: ChannelID
    private let gone = Atomic(false)

    init(_ core: BrokerCore, _ channel: ChannelID) {
        self.core = core
        self.channel = channel
    }

    var isGone: Bool { gone.load(ordering: .acquiring) }

    /// What is unsettled has gone back to its queue.
    func lose() { gone.store(true, ordering: .releasing) }

    func settle(_ tag: UInt64, _ settlement: DeliverySettlement) {
        if isGone { return }
        core?.perform { $0.machine.settle(tag, on: channel, settlement) }
    }
}

/// A broker's time: how long after 1970 it is by the injected clock, and how to be called at a moment.
///
/// Absolute times can be kept over a restart, as a journal must.
struct BrokerTime: Sendable {
    let now: @Sendable () -> Duration
    /// Calls the action once, at the time or later; returns the way to cancel that.
    let wake: @Sendable (_ time: Duration, _ action: @escaping @Sendable () -> Void) -> @Sendable () -> Void

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
        wake = { time, action in
            let number = clock.schedule(at: VirtualClock.Instant(offset: time - beginning), action)
            return { clock.cancel(number) }
        }
    }

    private init(real clock: some Clock<Duration>) {
        let start = clock.now
        let wallTime = Duration.seconds(Date().timeIntervalSince1970)
        now = { wallTime + start.duration(to: clock.now) }
        wake = { time, action in
            // Unstructured: between calls nobody is there to wait for it. A broker has one at a time, and cancels it when it needs another.
            let timer = Task {
                try? await clock.sleep(until: start.advanced(by: time - wallTime), tolerance: nil)
                if !Task.isCancelled { action() }
            }
            return { timer.cancel() }
        }
    }
}
