import Crypto

/// Which jobs fail on purpose, and how: decided by the path alone, so that each run of a folder is the same.
struct FaultPlan {
    /// The share of files whose first attempts fail, from 0 to 1.
    let flaky: Double
    /// How many jobs are planted that can't succeed.
    let poison: Int

    /// How many of the first attempts for this file fail: mostly one, for a quarter of the flaky ones two; `nil` for none.
    func failures(of path: FilePath) -> Int? {
        let digest = Array(SHA256.hash(data: path.bytes))
        let position = digest.prefix(8).reduce(0.0) { ($0 * 256 + Double($1)) } / 0x1p64
        guard position < flaky else { return nil }
        return digest[8] < 64 ? 2 : 1
    }

    /// The jobs to plant, by turns of two kinds: the file doesn't exist, which no attempt will change; and every attempt fails.
    func planted(below folder: String) -> [DigestFile] {
        (0..<poison).map { number in
            let path = FilePath("\(folder)/.planted-by-digest-\(number + 1)")
            return DigestFile(path: path, failures: number % 2 == 0 ? nil : Int(Int32.max))
        }
    }
}
