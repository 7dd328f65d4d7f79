#pragma once
/// One connection of the gate: its socket, TLS when it begins like that, and the session that
/// understands its bytes. All on the thread that it belongs to.
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <boost/asio/ip/tcp.hpp>

#include "api/http_session.h"
#include "api/http_tls.h"

namespace millrace {

class connection;

/// Read at once, so that a large body does not hold up the thread's other connections.
inline constexpr std::size_t read_turn_bytes = 256 * 1024;

/// The thread that a connection belongs to.
class connection_host {
 public:
  virtual ~connection_host() = default;
  virtual const session_ground& ground() const = 0;
  /// Where its connections read what they hand on at once.
  virtual std::span<char> read_buffer() = 0;
  /// Null: there is no TLS.
  virtual std::shared_ptr<const tls_identity> identity() const = 0;
  /// False: as many as may be are under way.
  virtual bool begin_handshake() = 0;
  virtual void end_handshake(bool went_well) = 0;
  /// It is closed.
  virtual void forget(const std::shared_ptr<connection>& one) = 0;
};

class connection final : public byte_link, public std::enable_shared_from_this<connection> {
 public:
  connection(boost::asio::ip::tcp::socket socket, connection_host& host);

  /// Waits for the first bytes: they say which protocol it is.
  void start();
  void tick(std::uint64_t now_us);
  bool is_waiting() const { return session_ && session_->is_waiting(); }

  void read_some(char* to, std::size_t bytes_max) override;
  void read_any(std::size_t bytes_max) override;
  void write(std::string_view first, std::string_view second) override;
  void finish_sending() override;
  void close() override;
  bool is_refused() const override { return is_refused_; }
  void become_http2(http2_upgrade what) override;

 private:
  void look_at_first_byte();
  void begin_tls();
  void shake_hands();
  void read_first();
  void on_first(std::size_t bytes);
  void on_read(std::size_t bytes);
  void read_tls(char* to, std::size_t bytes_max);
  tls_step fill_by_tls(std::span<char> room, std::size_t& got);
  void take_any(std::size_t bytes_max);
  void write_tls();
  /// Calls `next` when the step can be taken again; closes when it never can.
  template <class Next>
  void wait_for(tls_step step, Next next);

  boost::asio::ip::tcp::socket socket_;
  connection_host& host_;
  std::uint64_t deadline_us_;  // for being a session
  std::array<char, http2_preface.size()> first_{};
  std::size_t first_bytes_ = 0;
  std::unique_ptr<http_session> session_;
  std::unique_ptr<http_session> retired_;  // before an upgrade; exchanges may still point to it
  bool is_closed_ = false;
  bool is_refused_ = false;
  bool is_shaking_hands_ = false;

  std::unique_ptr<tls_session> tls_;
  std::string joined_;  // what is being written by TLS: a head, with the beginning of its body
  std::string_view writing_;
  std::string_view writing_next_;
};

}  // namespace millrace
