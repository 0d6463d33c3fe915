"""Where the desk talks with people: commands, alerts, chats. It changes the engine only through the Desk port."""
