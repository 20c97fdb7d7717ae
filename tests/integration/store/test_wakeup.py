"""The bell of a shard, as a ticker hears it."""

from jobistemer.store.wakeup import WakeListener


def test_who_gave_up_a_connection_listens_again_on_another_one(database):
    listener = WakeListener(database)
    listener.listen()
    # As after an error, when the server may be one that hangs.
    listener.close()
    listener.listen()
    database.client.publish(database.keys.wake, "job")
    assert listener.wait(60) == {"job"}
    listener.close()
