"""Audits: each asks one question about what is stored and answers with what it found. They only read.

What belongs here: the questions behind the asset checks, as functions of a read connection and the months to look at
(None: all). What does not: Dagster's names and severities (`orchestration.asset_checks`).

An audit computes its answer another way than the code that it audits, or it could not find that code wrong.
"""
