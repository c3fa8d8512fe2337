// The yardstick: what plain C over librabbitmq does with the same broker, messages and queue as `warren-load`.
// One measurement a run, one line of JSON on standard output. Anything unexpected ends the run with a sentence and exit
// code 1.

#include "../CRabbitMQ/shim.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <time.h>

#define TAG "yardstick"
enum { CHANNEL = 1, BODY_SIZE = 256, REPLY_SECONDS = 30, MULTIPLE = 50 };

struct options {
  const char *work, *url, *queue;
  uint64_t count, window, prefetch, rate;
};

// What a connection has published and the broker has not confirmed yet.
struct confirms {
  uint64_t published, lowest, outstanding, window;
  bool *confirmed;  // by delivery tag modulo the window, above `lowest`
};

struct timing {
  double wall, cpu;
};

static void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("warren-load-c: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

static void check(int status, const char *what) {
  if (status != AMQP_STATUS_OK) fail("%s: %s", what, amqp_error_string2(status));
}

static void fail_with_close(const amqp_method_t *method, const char *what) {
  // The two methods' structs begin alike: reply code, reply text.
  if (method->id == AMQP_CHANNEL_CLOSE_METHOD || method->id == AMQP_CONNECTION_CLOSE_METHOD) {
    const amqp_channel_close_t *close = method->decoded;
    fail("%s: %u %.*s", what, close->reply_code, (int)close->reply_text.len, (const char *)close->reply_text.bytes);
  }
  fail("%s: the broker sent %s", what, amqp_method_name(method->id));
}

static void check_reply(amqp_rpc_reply_t reply, const char *what) {
  if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) fail("%s: %s", what, amqp_error_string2(reply.library_error));
  if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION) fail_with_close(&reply.reply, what);
  if (reply.reply_type != AMQP_RESPONSE_NORMAL) fail("%s: no reply", what);
}

static double wall_now(void) {
  struct timespec now;
  if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) fail("clock_gettime: %s", strerror(errno));
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static struct timing timing_now(void) {
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) != 0) fail("getrusage: %s", strerror(errno));
  const double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  return (struct timing){wall_now(), cpu};
}

// MARK: Connections

static amqp_connection_state_t connect_to(const char *url_text) {
  char *url = strdup(url_text);
  if (url == NULL) fail("out of memory");
  struct amqp_connection_info info;
  if (amqp_parse_url(url, &info) != AMQP_STATUS_OK) fail("the URL can't be read");
  if (info.ssl) fail("the yardstick speaks no TLS; give it an amqp:// URL");
  amqp_connection_state_t connection = amqp_new_connection();
  if (connection == NULL) fail("out of memory");
  amqp_socket_t *socket = amqp_tcp_socket_new(connection);
  if (socket == NULL) fail("out of memory");
  struct timeval timeout = {REPLY_SECONDS, 0};
  check(amqp_socket_open_noblock(socket, info.host, info.port, &timeout), "connecting");
  check_reply(amqp_login(connection, info.vhost, AMQP_DEFAULT_MAX_CHANNELS, AMQP_DEFAULT_FRAME_SIZE, 0,
                         AMQP_SASL_METHOD_PLAIN, info.user, info.password),
              "logging in");
  check(amqp_set_rpc_timeout(connection, &timeout), "setting the reply timeout");
  amqp_channel_open(connection, CHANNEL);
  check_reply(amqp_get_rpc_reply(connection), "opening a channel");
  free(url);
  return connection;
}

static void disconnect(amqp_connection_state_t connection) {
  check_reply(amqp_channel_close(connection, CHANNEL, AMQP_REPLY_SUCCESS), "closing the channel");
  check_reply(amqp_connection_close(connection, AMQP_REPLY_SUCCESS), "closing the connection");
  check(amqp_destroy_connection(connection), "ending the connection");
}

static void delete_queue(amqp_connection_state_t connection, const char *queue) {
  amqp_queue_delete(connection, CHANNEL, amqp_cstring_bytes(queue), 0, 0);
  check_reply(amqp_get_rpc_reply(connection), "deleting the queue");
}

static uint32_t declare_queue(amqp_connection_state_t connection, const char *queue) {
  amqp_table_entry_t kind = {amqp_cstring_bytes("x-queue-type"),
                             {AMQP_FIELD_KIND_UTF8, {.bytes = amqp_cstring_bytes("quorum")}}};
  amqp_queue_declare_ok_t *declared =
      amqp_queue_declare(connection, CHANNEL, amqp_cstring_bytes(queue), 0, 1, 0, 0, (amqp_table_t){1, &kind});
  check_reply(amqp_get_rpc_reply(connection), "declaring the queue");
  if (declared == NULL) fail("declaring the queue: no answer");
  return declared->message_count;
}

// MARK: Publishing

static void read_frame(amqp_connection_state_t connection, amqp_frame_t *frame) {
  struct timeval timeout = {REPLY_SECONDS, 0};
  check(amqp_simple_wait_frame_noblock(connection, frame, &timeout), "waiting for the broker");
}

static struct confirms select_confirms(amqp_connection_state_t connection, uint64_t window) {
  amqp_confirm_select(connection, CHANNEL);
  check_reply(amqp_get_rpc_reply(connection), "asking for confirms");
  struct confirms confirms = {.window = window, .confirmed = calloc(window, sizeof(bool))};
  if (confirms.confirmed == NULL) fail("out of memory");
  return confirms;
}

static void confirm(struct confirms *confirms, uint64_t tag, bool multiple) {
  if (tag <= confirms->lowest || tag > confirms->published) fail("the broker confirmed message %llu twice or too early",
                                                                 (unsigned long long)tag);
  for (uint64_t each = multiple ? confirms->lowest + 1 : tag; each <= tag; each++) {
    bool *slot = &confirms->confirmed[each % confirms->window];
    if (!*slot) confirms->outstanding--;
    *slot = true;
  }
  while (confirms->lowest < confirms->published && confirms->confirmed[(confirms->lowest + 1) % confirms->window]) {
    confirms->lowest++;
    confirms->confirmed[confirms->lowest % confirms->window] = false;
  }
}

static void await_confirms(amqp_connection_state_t connection, struct confirms *confirms, uint64_t most_outstanding) {
  while (confirms->outstanding > most_outstanding) {
    amqp_frame_t frame;
    read_frame(connection, &frame);
    if (frame.frame_type != AMQP_FRAME_METHOD) fail("a frame of type %u instead of a confirm", frame.frame_type);
    if (frame.payload.method.id != AMQP_BASIC_ACK_METHOD) fail_with_close(&frame.payload.method, "publishing");
    const amqp_basic_ack_t *ack = frame.payload.method.decoded;
    confirm(confirms, ack->delivery_tag, ack->multiple);
    amqp_maybe_release_buffers(connection);
  }
}

// A JSON object of exactly 256 bytes; what must differ from message to message stands in its first field.
static void write_body(char body[BODY_SIZE], double number) {
  const int written = snprintf(body, BODY_SIZE, "{\"number\":%.9f,\"to\":\"ada@example.com\",\"text\":\"", number);
  if (written < 0 || written >= BODY_SIZE - 2) fail("a body didn't fit");
  memset(body + written, 'x', (size_t)(BODY_SIZE - 2 - written));
  memcpy(body + BODY_SIZE - 2, "\"}", 2);
}

static void publish(amqp_connection_state_t connection, const char *queue, const char body[BODY_SIZE]) {
  amqp_basic_properties_t properties = {._flags = AMQP_BASIC_CONTENT_TYPE_FLAG | AMQP_BASIC_DELIVERY_MODE_FLAG,
                                        .content_type = amqp_cstring_bytes("application/json"),
                                        .delivery_mode = AMQP_DELIVERY_PERSISTENT};
  const amqp_bytes_t bytes = {BODY_SIZE, (void *)(uintptr_t)body};
  check(amqp_basic_publish(connection, CHANNEL, amqp_empty_bytes, amqp_cstring_bytes(queue), 0, 0, &properties, bytes),
        "publishing");
}

static void publish_confirmed(amqp_connection_state_t connection, const struct options *options,
                              struct confirms *confirms) {
  char body[BODY_SIZE];
  write_body(body, 0);
  // When the window is full, half of it is awaited: reading after each message would cost more than it brings.
  const uint64_t refill = confirms->window / 2;
  for (uint64_t number = 0; number < options->count; number++) {
    if (confirms->outstanding == confirms->window) await_confirms(connection, confirms, refill);
    publish(connection, options->queue, body);
    confirms->published++;
    confirms->outstanding++;
  }
  await_confirms(connection, confirms, 0);
}

// MARK: Consuming

static void start_consuming(amqp_connection_state_t connection, const struct options *options, uint64_t prefetch) {
  amqp_basic_qos(connection, CHANNEL, 0, (uint16_t)prefetch, 0);
  check_reply(amqp_get_rpc_reply(connection), "setting the prefetch");
  amqp_basic_consume(connection, CHANNEL, amqp_cstring_bytes(options->queue), amqp_cstring_bytes(TAG), 0, 0, 0,
                     amqp_empty_table);
  check_reply(amqp_get_rpc_reply(connection), "consuming");
}

// Takes a delivery and gives its tag; 0 if none came until the timeout.
static uint64_t take_delivery(amqp_connection_state_t connection, struct timeval timeout, double *number) {
  amqp_envelope_t envelope;
  const amqp_rpc_reply_t reply = amqp_consume_message(connection, &envelope, &timeout, 0);
  if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION && reply.library_error == AMQP_STATUS_TIMEOUT) return 0;
  check_reply(reply, "waiting for a delivery");
  if (envelope.message.body.len != BODY_SIZE) fail("a delivery of %zu bytes", envelope.message.body.len);
  if (number != NULL) *number = strtod((const char *)envelope.message.body.bytes + strlen("{\"number\":"), NULL);
  const uint64_t tag = envelope.delivery_tag;
  amqp_destroy_envelope(&envelope);
  amqp_maybe_release_buffers(connection);
  return tag;
}

static void consume_all(amqp_connection_state_t connection, const struct options *options, uint64_t at_a_time) {
  for (uint64_t taken = 1; taken <= options->count; taken++) {
    const uint64_t tag = take_delivery(connection, (struct timeval){REPLY_SECONDS, 0}, NULL);
    if (tag == 0) fail("%llu of %llu deliveries came", (unsigned long long)(taken - 1),
                       (unsigned long long)options->count);
    if (taken % at_a_time != 0 && taken != options->count) continue;
    check(amqp_basic_ack(connection, CHANNEL, tag, at_a_time > 1), "acknowledging");
  }
}

// MARK: Measurements

static void print_rate(const struct options *options, struct timing start) {
  const struct timing end = timing_now();
  printf("{\"work\":\"%s\",\"who\":\"c\",\"queue\":\"quorum\",\"count\":%llu,\"rate\":%.1f,\"cpu_us\":%.3f}\n",
         options->work, (unsigned long long)options->count, (double)options->count / (end.wall - start.wall),
         (end.cpu - start.cpu) * 1e6 / (double)options->count);
}

static void measure_publishing(const struct options *options, uint64_t window) {
  amqp_connection_state_t connection = connect_to(options->url);
  delete_queue(connection, options->queue);
  declare_queue(connection, options->queue);
  struct confirms confirms = select_confirms(connection, window);
  const struct timing start = timing_now();
  publish_confirmed(connection, options, &confirms);
  print_rate(options, start);
  delete_queue(connection, options->queue);
  free(confirms.confirmed);
  disconnect(connection);
}

static void measure_consuming(const struct options *options, uint64_t at_a_time) {
  amqp_connection_state_t publisher = connect_to(options->url);
  delete_queue(publisher, options->queue);
  declare_queue(publisher, options->queue);
  struct confirms confirms = select_confirms(publisher, options->window);
  publish_confirmed(publisher, options, &confirms);
  free(confirms.confirmed);

  amqp_connection_state_t consumer = connect_to(options->url);
  const struct timing start = timing_now();
  start_consuming(consumer, options, options->prefetch);
  consume_all(consumer, options, at_a_time);
  print_rate(options, start);
  // A quorum queue may lose acknowledgements that a channel still buffers when it closes; a cancel waits for them.
  amqp_basic_cancel(consumer, CHANNEL, amqp_cstring_bytes(TAG));
  check_reply(amqp_get_rpc_reply(consumer), "cancelling the consumer");
  disconnect(consumer);
  const uint32_t left = declare_queue(publisher, options->queue);
  if (left != 0) fail("%u messages came back to the queue", left);
  delete_queue(publisher, options->queue);
  disconnect(publisher);
}

static int compare_doubles(const void *one, const void *other) {
  const double difference = *(const double *)one - *(const double *)other;
  return (difference > 0) - (difference < 0);
}

// The value below or at which `share` of the sorted values are.
static double percentile(const double *values, uint64_t count, double share) {
  const uint64_t rank = (uint64_t)(share * (double)count + 0.999999);
  return values[rank == 0 ? 0 : rank - 1];
}

static void print_latencies(const struct options *options, double *latencies) {
  qsort(latencies, options->count, sizeof(double), compare_doubles);
  printf("{\"work\":\"latency\",\"who\":\"c\",\"queue\":\"quorum\",\"count\":%llu,\"rate\":%llu,"
         "\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
         (unsigned long long)options->count, (unsigned long long)options->rate,
         percentile(latencies, options->count, 0.5) * 1e3, percentile(latencies, options->count, 0.99) * 1e3);
}

static struct timeval until(double instant) {
  const double left = instant - wall_now();
  if (left <= 0) return (struct timeval){0, 0};
  return (struct timeval){(time_t)left, (suseconds_t)((left - (double)(time_t)left) * 1e6)};
}

static void measure_latency(const struct options *options) {
  amqp_connection_state_t publisher = connect_to(options->url), consumer = connect_to(options->url);
  delete_queue(publisher, options->queue);
  declare_queue(publisher, options->queue);
  start_consuming(consumer, options, options->prefetch);
  double *latencies = calloc(options->count, sizeof(double));
  if (latencies == NULL) fail("out of memory");

  double due = wall_now();
  for (uint64_t published = 0, taken = 0; taken < options->count;) {
    if (published < options->count && wall_now() >= due) {
      char body[BODY_SIZE];
      write_body(body, wall_now());
      publish(publisher, options->queue, body);
      published++;
      due += 1.0 / (double)options->rate;
    }
    double sent = 0;
    const struct timeval wait = published < options->count ? until(due) : (struct timeval){REPLY_SECONDS, 0};
    const uint64_t tag = take_delivery(consumer, wait, &sent);
    if (tag != 0) {
      latencies[taken++] = wall_now() - sent;
      check(amqp_basic_ack(consumer, CHANNEL, tag, 0), "acknowledging");
    } else if (published == options->count) {
      fail("%llu of %llu deliveries came", (unsigned long long)taken, (unsigned long long)options->count);
    }
  }
  print_latencies(options, latencies);
  free(latencies);
  delete_queue(publisher, options->queue);
  disconnect(consumer);
  disconnect(publisher);
}

// MARK: The command line

static void usage(FILE *file) {
  fputs("usage: warren-load-c publish|publish-serial|consume|consume-multiple|latency\n"
        "         [--url URL] [--queue NAME] [--count N] [--window N] [--prefetch N] [--rate N]\n"
        "publish            persistent messages to a quorum queue, --window of them unconfirmed at a time\n"
        "publish-serial     the same, each confirmed before the next is sent\n"
        "consume            as many deliveries, each acknowledged singly\n"
        "consume-multiple   the same, 50 at a time\n"
        "latency            from publish to delivery, at --rate messages/s\n"
        "The queue is deleted and declared again, and deleted at the end. The URL is WARREN_BROKER_URL by default.\n",
        file);
}

static uint64_t number_option(const char *text, uint64_t most) {
  char *end = NULL;
  errno = 0;
  const unsigned long long number = strtoull(text, &end, 10);
  if (errno != 0 || *text == '-' || end == text || *end != '\0' || number == 0 || number > most) {
    fail("'%s' is not a number from 1 to %llu", text, (unsigned long long)most);
  }
  return number;
}

static struct options parse(int count, char **arguments) {
  const char *url = getenv("WARREN_BROKER_URL");
  struct options options = {.url = url != NULL ? url : "amqp://guest:guest@127.0.0.1:5672/%2f",
                            .queue = "warren-load-c", .count = 100000, .window = 1000, .prefetch = 200, .rate = 100};
  static const struct option known[] = {{"url", 1, NULL, 'u'}, {"queue", 1, NULL, 'q'}, {"count", 1, NULL, 'c'},
                                        {"window", 1, NULL, 'w'}, {"prefetch", 1, NULL, 'p'}, {"rate", 1, NULL, 'r'},
                                        {"help", 0, NULL, 'h'}, {NULL, 0, NULL, 0}};
  for (int letter; (letter = getopt_long(count, arguments, "", known, NULL)) != -1;) {
    switch (letter) {
      case 'u': options.url = optarg; break;
      case 'q': options.queue = optarg; break;
      case 'c': options.count = number_option(optarg, 1000000000); break;
      case 'w': options.window = number_option(optarg, 1000000); break;
      case 'p': options.prefetch = number_option(optarg, UINT16_MAX); break;
      case 'r': options.rate = number_option(optarg, 1000000); break;
      case 'h': usage(stdout), exit(0);
      default: usage(stderr), exit(64);
    }
  }
  if (optind != count - 1) usage(stderr), exit(64);
  options.work = arguments[optind];
  return options;
}

int main(int count, char **arguments) {
  const struct options options = parse(count, arguments);
  if (strcmp(options.work, "publish") == 0) {
    measure_publishing(&options, options.window);
  } else if (strcmp(options.work, "publish-serial") == 0) {
    measure_publishing(&options, 1);
  } else if (strcmp(options.work, "consume") == 0) {
    measure_consuming(&options, 1);
  } else if (strcmp(options.work, "consume-multiple") == 0) {
    measure_consuming(&options, MULTIPLE);
  } else if (strcmp(options.work, "latency") == 0) {
    measure_latency(&options);
  } else {
    usage(stderr);
    return 64;
  }
  return 0;
}
