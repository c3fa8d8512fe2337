/// Which handler does which job: made once, before a worker runs, and never changed.
public struct JobRegistry: Sendable {
    private let registrations: [String: JobRegistration]

    /// A registry of these handlers.
    ///
    /// - Throws: ``WarrenError`` with `duplicateHandler` if two have one name, `invalidJobName`, or
    ///   `invalidConfiguration` if time limits make no sense.
    public init(_ list: [JobRegistration]) throws(WarrenError) {
        var registrations: [String: JobRegistration] = [:]
        registrations.reserveCapacity(list.count)
        for registration in list {
            try JobName.validate(registration.name)
            try registration.timeLimits.validate(job: registration.name)
            guard registrations.updateValue(registration, forKey: registration.name) == nil else {
                throw WarrenError(
                    .duplicateHandler,
                    "Two handlers are registered for the job '\(registration.name)': a name has one handler in a worker."
                )
            }
        }
        self.registrations = registrations
    }

    /// A registry of the handlers in a closure.
    ///
    /// - Throws: ``WarrenError`` with `duplicateHandler` if two have one name, `invalidJobName`, or
    ///   `invalidConfiguration` if time limits make no sense.
    public init(@HandlerBuilder _ handlers: () -> [JobRegistration]) throws(WarrenError) {
        try self.init(handlers())
    }

    /// The registration for a job's name; `nil` if this process doesn't know the name.
    public subscript(name: String) -> JobRegistration? { registrations[name] }

    /// All names, in order.
    public var names: [String] { registrations.keys.sorted() }
}
