/// Makes the list of a worker's handlers out of the lines of a closure; `if`, `switch` and `for` may choose among them.
@resultBuilder
public enum HandlerBuilder {
    /// One handler.
    public static func buildExpression(_ handler: some JobHandler) -> [JobRegistration] { [JobRegistration(handler)] }
    /// Handlers registered elsewhere.
    public static func buildExpression(_ registrations: [JobRegistration]) -> [JobRegistration] { registrations }
    /// Lines one after another.
    public static func buildBlock(_ parts: [JobRegistration]...) -> [JobRegistration] { parts.flatMap { $0 } }
    /// An `if` without `else`.
    public static func buildOptional(_ part: [JobRegistration]?) -> [JobRegistration] { part ?? [] }
    /// An `if`'s first branch.
    public static func buildEither(first part: [JobRegistration]) -> [JobRegistration] { part }
    /// An `if`'s other branch.
    public static func buildEither(second part: [JobRegistration]) -> [JobRegistration] { part }
    /// A loop.
    public static func buildArray(_ parts: [[JobRegistration]]) -> [JobRegistration] { parts.flatMap { $0 } }
    /// An `if #available`.
    public static func buildLimitedAvailability(_ part: [JobRegistration]) -> [JobRegistration] { part }
}
