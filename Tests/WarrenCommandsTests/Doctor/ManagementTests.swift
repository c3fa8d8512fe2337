import ArgumentParser
import Foundation
import RabbitMQ
import Testing

@testable import WarrenCommands

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

struct ManagementTests {
    @Test func `The user comes from the URL or else from the broker, and is never part of the address`() throws {
        let broker = Credentials.plain(user: "guest", password: "secret")
        let own = try ManagementURL("http://ada:pass%20word@host:15672/", credentials: broker)
        let request = own.request(["queues", "/"], timeout: 1)
        #expect(request.url?.absoluteString == "http://host:15672/api/queues/%2F")
        #expect(request.value(forHTTPHeaderField: "Authorization") == "Basic " + base64("ada:pass word"))
        let other = try ManagementURL("https://host/rabbit", credentials: broker).request(["nodes"], timeout: 1)
        #expect(other.url?.absoluteString == "https://host/rabbit/api/nodes")
        #expect(other.value(forHTTPHeaderField: "Authorization") == "Basic " + base64("guest:secret"))
    }

    @Test(arguments: ["amqp://a:secret@h", "secret", "http://"])
    func `An invalid URL is refused without its password`(text: String) {
        let error = #expect(throws: ValidationError.self) { try ManagementURL(text, credentials: .external) }
        #expect(error?.message.contains("secret") == false)
    }

    @Test func `RabbitMQ's answers are read, and unknown fields are ignored`() throws {
        let node = try decode(
            ManagedNode.self,
            #"{"name":"r@a","running":true,"mem_alarm":true,"disk_free_alarm":false,"partitions":["r@b"],"being_drained":false}"#
        )
        #expect(
            node == ManagedNode(name: "r@a", running: true, memAlarm: true, diskFreeAlarm: false, partitions: ["r@b"])
        )
        let queue = try decode(
            ManagedQueue.self,
            #"{"name":"q","type":"quorum","members":["a"],"online":[],"messages_ready":3,"messages_ready_details":{"rate":0.5}}"#
        )
        #expect(queue.messagesReadyDetails?.rate == 0.5 && queue.members == ["a"] && queue.online == [])
        let policy = try decode(
            ManagedPolicy.self,
            #"{"vhost":"/","name":"p","pattern":"^q","apply-to":"queues","priority":1,"definition":{"message-ttl":7,"overflow":"drop-head"}}"#
        )
        #expect(policy.definition == ["message-ttl": .number(7), "overflow": .text("drop-head")])
        #expect(policy.applies(to: "queue", kind: "quorum") && !policy.applies(to: "a queue", kind: "quorum"))
        let binding = try decode(
            ManagedBinding.self,
            #"{"source":"x","vhost":"/","destination":"q","destination_type":"queue","routing_key":"k","arguments":{}}"#
        )
        #expect(binding == ManagedBinding(source: "x", destination: "q", destinationType: "queue", routingKey: "k"))
    }

    @Test func `A node that is down has only its name`() throws {
        let node = try decode(ManagedNode.self, #"{"name":"r@a","running":false,"type":"disc"}"#)
        #expect(node == ManagedNode(name: "r@a", running: false))
    }

    private func decode<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
        try ManagementReader.decoder.decode(type, from: Data(text.utf8))
    }

    private func base64(_ text: String) -> String { Data(text.utf8).base64EncodedString() }
}
