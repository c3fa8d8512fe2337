extension QueueArguments {
    /// The arguments as they go over the wire.
    ///
    /// Numbers are sent with 64 bits: a delay of 2^27 seconds in milliseconds needs them. Durations are rounded up to the unit the broker
    /// knows; ``validate()`` refuses those that would be.
    public var arguments: FieldTable {
        var table = FieldTable(minimumCapacity: 8)
        table[.queueType] = kind.map { .string($0.rawValue) }
        table[.messageTTL] = messageTTL.map { .int64($0.millisecondsRoundedUp) }
        table[.expires] = expires.map { .int64($0.millisecondsRoundedUp) }
        table[.maxLength] = maxLength.map { .int64(Int64($0)) }
        table[.maxLengthBytes] = maxLengthBytes.map { .int64(Int64($0)) }
        table[.overflow] = overflow.map { .string($0.rawValue) }
        table[.deadLetterExchange] = deadLetterExchange.map(FieldValue.string)
        table[.deadLetterRoutingKey] = deadLetterRoutingKey.map(FieldValue.string)
        table[.deadLetterStrategy] = deadLetterStrategy.map { .string($0.rawValue) }
        table[.deliveryLimit] = deliveryLimit.map { .int64(Int64($0)) }
        table[.maxPriority] = maxPriority.map { .int64(Int64($0)) }
        table[.singleActiveConsumer] = singleActiveConsumer.map(FieldValue.bool)
        table[.maxAge] = maxAge.map { .string("\($0.secondsRoundedUp)s") }
        table[.streamMaxSegmentSizeBytes] = streamMaxSegmentSizeBytes.map { .int64(Int64($0)) }
        table[.quorumInitialGroupSize] = quorumInitialGroupSize.map { .int64(Int64($0)) }
        table[.consumerTimeout] = consumerTimeout.map { .int64($0.millisecondsRoundedUp) }
        return table.merging(other)
    }
}

extension FieldTable {
    fileprivate subscript(argument: QueueArgumentName) -> FieldValue? {
        get { self[argument.rawValue] }
        set { self[argument.rawValue] = newValue }
    }
}
