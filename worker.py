"""The worker: takes runs from the queue, trains them, and records what every epoch achieved and cost."""

if __name__ == "__main__":
    # Imported here because multiprocessing imports this file again in every training child.
    from work.program import main

    raise SystemExit(main())
