# A chat by Action Cable, without the rest of Rails: puma -b tcp://127.0.0.1:PORT action_cable.ru
require "logger"
require "action_cable"

# Pings come more often than every 3 seconds, so that a short run sees some.
ActionCable::Server::Connections.send(:remove_const, :BEAT_INTERVAL)
ActionCable::Server::Connections::BEAT_INTERVAL = 0.3

class ChatConnection < ActionCable::Connection::Base
  identified_by :user

  def connect
    self.user = request.params[:user]
    reject_unauthorized_connection unless request.params[:token] == "secret"
  end
end

class ChatChannel < ActionCable::Channel::Base
  def subscribed
    params[:room] ? stream_from("chat_#{params[:room]}") : reject
  end

  def say(data)
    said = { user: connection.user, text: data["text"] }
    ActionCable.server.broadcast("chat_#{params[:room]}", said)
  end
end

config = ActionCable::Server::Base.config
config.logger = Logger.new($stderr, level: :warn)
config.cable = { "adapter" => "async" }
config.connection_class = -> { ChatConnection }
config.disable_request_forgery_protection = true

map("/cable") { run ActionCable.server }
