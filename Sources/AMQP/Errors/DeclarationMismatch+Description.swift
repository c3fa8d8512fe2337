extension DeclarationMismatch: CustomStringConvertible {
    /// What differs and what to do, in two or three sentences for people.
    public var description: String { "\(difference) \(advice)" }

    /// What differs, in one sentence.
    public var difference: String {
        let place = virtualHost.isEmpty ? "" : " in virtual host '\(virtualHost)'"
        let what = "\(object.rawValue == "queue" ? "Queue" : "Exchange") '\(name)'\(place)"
        let has = current.map { "has \(argument) \($0.shown(beside: received))" } ?? "has no \(argument)"
        let asked = received.map { "the declaration says \($0.shown(beside: current))" } ?? "the declaration sets none"
        return isCut && current == nil
            ? "\(what)… exists with another \(argument) than the declaration's."
            : "\(what) exists and \(has), where \(asked)."
    }

    /// What can be done about it, in one or two sentences.
    public var advice: String {
        let asItIs = "Declare the \(object.rawValue) as it is"
        if let policyKey {
            return "\(asItIs), and give it the declared \(policyKey) by a policy, which can be changed at any time."
        }
        let move =
            object == .queue ? "move its bindings and messages there (a shovel does it)" : "bind its queues there"
        return "\(asItIs); or declare one of another name, \(move) and delete this one; or delete it"
            + "\(object == .queue ? " once it is empty" : "") and declare it again."
    }

    /// The key of the policy that settles the difference without a new queue or exchange, if one does.
    ///
    /// Where an argument is set already, only a lower limit can come from a policy. Source: `rabbit_policies.erl`,
    /// `rabbit_amqqueue_process.erl` and `rabbit_quorum_queue.erl`, 3.10 to 4.3.
    public var policyKey: String? {
        let key = argument.hasPrefix("x-") ? String(argument.dropFirst(2)) : argument
        let keys = object == .queue ? Self.limits.union(Self.others) : ["alternate-exchange"]
        guard !isCut, received != nil, keys.contains(key) else { return nil }
        if current == nil { return key }
        guard Self.limits.contains(key), let asked = received.flatMap({ Int($0.text) }) else { return nil }
        return current.flatMap { Int($0.text) }.map { asked < $0 } == true ? key : nil
    }

    /// Of policy and argument, the lower holds.
    private static let limits: Set = ["message-ttl", "expires", "max-length", "max-length-bytes", "delivery-limit"]
    /// The argument wins over the policy (the overflow behaviour's on classic queues).
    private static let others: Set = [
        "overflow", "dead-letter-exchange", "dead-letter-routing-key", "dead-letter-strategy", "max-age",
        "stream-max-segment-size-bytes",
    ]
}

extension DeclarationMismatch.Value {
    /// The text in quotes; with its type where both sides' texts are the same, so that it is the type that differs.
    fileprivate func shown(beside other: DeclarationMismatch.Value?) -> String {
        guard text == other?.text else { return "'\(text)'" }
        return type.map { "'\(text)' of type \($0)" } ?? "'\(text)' of another type"
    }
}
