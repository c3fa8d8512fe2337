/// How much a field table may hold, so that bytes from elsewhere can exhaust neither stack nor memory.
///
/// Any table that a program makes for itself stays far below the defaults.
public struct WireLimits: Sendable, Hashable {
    /// How deeply arrays and tables may be nested; the outermost table is at depth 1.
    public var depth: Int
    /// How many entries and array elements there may be, over all levels together.
    public var values: Int

    /// Limits by their numbers.
    public init(depth: Int = 32, values: Int = 65_536) {
        self.depth = depth
        self.values = values
    }

    /// 32 levels and 65,536 values.
    public static let standard = WireLimits()
}
