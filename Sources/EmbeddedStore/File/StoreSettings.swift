/// How the file is used; other values than these are for tests.
package struct StoreSettings: Sendable {
    /// After how many pages of 4,096 bytes the log is emptied into the file.
    package var checkpointPages = 4_000
    /// How many pages the file may have; `nil` for as many as the disk has room for.
    package var maximumPages: Int?

    /// How a program uses it.
    package init() {}
}
