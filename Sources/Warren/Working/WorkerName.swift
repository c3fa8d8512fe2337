#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

enum WorkerName {
    /// Host and process id, which tell workers of one cluster apart.
    static let ofThisProcess: String = {
        let process = ProcessInfo.processInfo
        return "\(process.hostName)-\(process.processIdentifier)"
    }()
}
