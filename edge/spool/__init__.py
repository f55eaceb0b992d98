"""Where sealed instances wait until the hub has signed for them.

The way of one item: `Spool.receive` seals the bytes to the hub's key and writes one file
``<parcel_id>.tge`` (body, then draft header); when it returns, that file has survived a power cut.
`edge/pack` signs the header in order (``<parcel_id>.head``), `edge/uplink` carries it, and the
verified receipt is kept in ``receipts/`` before the body may go.

The files are the truth (`files`); the index (`journal`) can be rebuilt from them (`recovery`). Neither
shows a patient or a UID: the key that opens a body is the hub's, and what the technician's page
shows of patients lives in memory (`view`).
"""
