-- version 8
CREATE TABLE accepted_losses (
	accepted_at TEXT NOT NULL, 
	partition_month TEXT NOT NULL, 
	rows_before INTEGER NOT NULL, 
	rows_after INTEGER NOT NULL, 
	data_processed TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	why TEXT
)
 STRICT;
CREATE TABLE area_comparison (
	measure TEXT NOT NULL, 
	local_area TEXT NOT NULL, 
	opened_from TEXT NOT NULL, 
	opened_to TEXT NOT NULL, 
	n INTEGER NOT NULL, 
	observed INTEGER NOT NULL, 
	expected REAL, 
	ratio REAL, 
	ratio_low REAL, 
	ratio_high REAL, 
	state TEXT NOT NULL, 
	city_share REAL, 
	adjusted_share REAL, 
	adjusted_share_low REAL, 
	adjusted_share_high REAL, 
	supported_weight REAL, 
	standardised_share REAL, 
	standardised_share_low REAL, 
	standardised_share_high REAL, 
	standardised_share_state TEXT, 
	se_log_ratio REAL, 
	q_value REAL, 
	verdict TEXT, 
	tau REAL, 
	shrunken_ratio REAL, 
	among_areas TEXT, 
	z REAL, 
	pooled_share REAL, 
	ratio_without_own REAL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE area_issue_mix (
	local_area TEXT NOT NULL, 
	issue_type TEXT NOT NULL, 
	observed INTEGER NOT NULL, 
	n INTEGER NOT NULL, 
	expected REAL NOT NULL, 
	ratio REAL, 
	ratio_low REAL, 
	ratio_high REAL, 
	q_value REAL, 
	finding TEXT, 
	state TEXT NOT NULL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE area_rates (
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	issue_type TEXT, 
	department TEXT, 
	period TEXT NOT NULL, 
	requests INTEGER NOT NULL, 
	census_year INTEGER NOT NULL, 
	residents INTEGER NOT NULL, 
	dwellings INTEGER NOT NULL, 
	dispersion REAL, 
	per_1000_residents REAL, 
	per_1000_residents_low REAL, 
	per_1000_residents_high REAL, 
	per_1000_dwellings REAL, 
	per_1000_dwellings_low REAL, 
	per_1000_dwellings_high REAL, 
	state TEXT NOT NULL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE backlog_by_age (
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	issue_type TEXT, 
	department TEXT, 
	age_band TEXT NOT NULL, 
	band_order INTEGER NOT NULL, 
	open_requests INTEGER NOT NULL, 
	located INTEGER NOT NULL, 
	n_static INTEGER NOT NULL, 
	share_of_open REAL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE backlog_daily (
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	issue_type TEXT, 
	department TEXT, 
	day TEXT NOT NULL, 
	opened INTEGER NOT NULL, 
	closed_in INTEGER NOT NULL, 
	backlog INTEGER NOT NULL, 
	understated TEXT NOT NULL, 
	provisional TEXT NOT NULL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE batch_days (
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	issue_type TEXT, 
	department TEXT, 
	day TEXT NOT NULL, 
	closings INTEGER NOT NULL, 
	usual_closings REAL NOT NULL, 
	tail_probability REAL NOT NULL, 
	share_of_closings REAL NOT NULL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE brief_drafts (
	brief_id INTEGER NOT NULL, 
	PRIMARY KEY (brief_id)
)
 STRICT;
CREATE TABLE briefs (
	brief_id INTEGER NOT NULL, 
	month TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	name TEXT NOT NULL, 
	address TEXT NOT NULL, 
	facts TEXT NOT NULL, 
	made_at TEXT NOT NULL, 
	as_of TEXT NOT NULL, 
	data_processed TEXT NOT NULL, 
	definitions_version TEXT NOT NULL, 
	basis TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	PRIMARY KEY (brief_id)
)
 STRICT;
CREATE TABLE channels (
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	issue_type TEXT, 
	department TEXT, 
	period TEXT NOT NULL, 
	channel TEXT NOT NULL, 
	requests INTEGER NOT NULL, 
	volume INTEGER NOT NULL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE closure_reasons (
	period TEXT NOT NULL, 
	department TEXT NOT NULL, 
	closure_reason TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	closed INTEGER NOT NULL, 
	open_requests INTEGER NOT NULL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE corrections (
	release_month TEXT NOT NULL, 
	department TEXT NOT NULL, 
	n_vanished INTEGER NOT NULL, 
	n_relabelled INTEGER NOT NULL, 
	n_reopened INTEGER NOT NULL, 
	n_corrected INTEGER NOT NULL, 
	n_clerical INTEGER NOT NULL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE current_speed (
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	issue_type TEXT, 
	department TEXT, 
	weeks_from TEXT NOT NULL, 
	weeks_to TEXT NOT NULL, 
	followed INTEGER NOT NULL, 
	n INTEGER NOT NULL, 
	closed INTEGER NOT NULL, 
	median_days INTEGER, 
	median_low INTEGER, 
	median_high INTEGER, 
	median_state TEXT NOT NULL, 
	p75_days INTEGER, 
	p75_low INTEGER, 
	p75_high INTEGER, 
	p75_state TEXT NOT NULL, 
	p90_days INTEGER, 
	p90_low INTEGER, 
	p90_high INTEGER, 
	p90_state TEXT NOT NULL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE data_origin (
	source TEXT NOT NULL, 
	created_at TEXT NOT NULL, 
	PRIMARY KEY (source)
)
 STRICT;
CREATE TABLE deep_readings (
	read_at TEXT NOT NULL, 
	partition_month TEXT NOT NULL, 
	rows INTEGER NOT NULL, 
	changes_found INTEGER NOT NULL, 
	data_processed TEXT NOT NULL, 
	run_id TEXT NOT NULL
)
 STRICT;
CREATE TABLE figure_drafts (
	vintage_id INTEGER NOT NULL, 
	PRIMARY KEY (vintage_id)
)
 STRICT;
CREATE TABLE figure_vintages (
	vintage_id INTEGER NOT NULL, 
	figure TEXT NOT NULL, 
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	department TEXT, 
	issue_type TEXT, 
	reference TEXT NOT NULL, 
	as_of TEXT NOT NULL, 
	data_processed TEXT NOT NULL, 
	change_id INTEGER NOT NULL, 
	basis TEXT NOT NULL, 
	value REAL, 
	by_opened_late REAL, 
	by_closed_late REAL, 
	by_vanished REAL, 
	by_reopened REAL, 
	by_relabelled REAL, 
	by_edited REAL, 
	PRIMARY KEY (vintage_id)
)
 STRICT;
CREATE TABLE flow (
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	issue_type TEXT, 
	department TEXT, 
	weeks_from TEXT NOT NULL, 
	weeks_to TEXT NOT NULL, 
	opened INTEGER NOT NULL, 
	closed_in INTEGER NOT NULL, 
	net INTEGER NOT NULL, 
	backlog_start INTEGER NOT NULL, 
	backlog_end INTEGER NOT NULL, 
	backlog_year_before INTEGER, 
	years INTEGER NOT NULL, 
	net_low INTEGER, 
	net_high INTEGER, 
	usual_change REAL, 
	change_beyond_usual REAL, 
	distance_from_usual REAL, 
	flow TEXT NOT NULL, 
	labels_in_backtest REAL, 
	weeks_in_backtest INTEGER NOT NULL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE holds (
	dataset TEXT NOT NULL, 
	partition_month TEXT NOT NULL, 
	rows_before INTEGER NOT NULL, 
	rows_now INTEGER NOT NULL, 
	why TEXT NOT NULL, 
	data_processed TEXT NOT NULL, 
	held_since TEXT NOT NULL, 
	PRIMARY KEY (dataset, partition_month)
)
 STRICT;
CREATE TABLE local_areas (
	local_area TEXT NOT NULL, 
	latitude REAL NOT NULL, 
	longitude REAL NOT NULL, 
	boundary TEXT NOT NULL, 
	PRIMARY KEY (local_area)
)
 STRICT;
CREATE TABLE metric_aggregates (
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	issue_type TEXT, 
	metric TEXT NOT NULL, 
	value REAL, 
	n INTEGER NOT NULL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE metrics_by_issue (
	issue_type TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	volume INTEGER NOT NULL, 
	open_requests INTEGER NOT NULL, 
	avg_ttr REAL, 
	n_ttr INTEGER NOT NULL, 
	avg_ttu REAL, 
	n_ttu INTEGER NOT NULL, 
	closed INTEGER NOT NULL, 
	status_unknown INTEGER NOT NULL, 
	sum_days_to_close INTEGER NOT NULL, 
	sum_seconds_to_update INTEGER NOT NULL, 
	n_negative INTEGER NOT NULL, 
	n_closed_without_date INTEGER NOT NULL, 
	n_never_updated INTEGER NOT NULL, 
	n_update_negative INTEGER NOT NULL, 
	n_update_missing INTEGER NOT NULL, 
	n_static_open INTEGER NOT NULL, 
	as_of TEXT NOT NULL, 
	PRIMARY KEY (issue_type, scope)
)
 STRICT;
CREATE TABLE metrics_by_neighbourhood (
	local_area TEXT NOT NULL, 
	volume INTEGER NOT NULL, 
	open_requests INTEGER NOT NULL, 
	avg_ttr REAL, 
	n_ttr INTEGER NOT NULL, 
	avg_ttu REAL, 
	n_ttu INTEGER NOT NULL, 
	closed INTEGER NOT NULL, 
	status_unknown INTEGER NOT NULL, 
	sum_days_to_close INTEGER NOT NULL, 
	sum_seconds_to_update INTEGER NOT NULL, 
	n_negative INTEGER NOT NULL, 
	n_closed_without_date INTEGER NOT NULL, 
	n_never_updated INTEGER NOT NULL, 
	n_update_negative INTEGER NOT NULL, 
	n_update_missing INTEGER NOT NULL, 
	n_static_open INTEGER NOT NULL, 
	as_of TEXT NOT NULL, 
	PRIMARY KEY (local_area)
)
 STRICT;
CREATE TABLE metrics_citywide (
	scope TEXT NOT NULL, 
	volume INTEGER NOT NULL, 
	open_requests INTEGER NOT NULL, 
	avg_ttr REAL, 
	n_ttr INTEGER NOT NULL, 
	avg_ttu REAL, 
	n_ttu INTEGER NOT NULL, 
	closed INTEGER NOT NULL, 
	status_unknown INTEGER NOT NULL, 
	sum_days_to_close INTEGER NOT NULL, 
	sum_seconds_to_update INTEGER NOT NULL, 
	n_negative INTEGER NOT NULL, 
	n_closed_without_date INTEGER NOT NULL, 
	n_never_updated INTEGER NOT NULL, 
	n_update_negative INTEGER NOT NULL, 
	n_update_missing INTEGER NOT NULL, 
	n_static_open INTEGER NOT NULL, 
	as_of TEXT NOT NULL, 
	PRIMARY KEY (scope)
)
 STRICT;
CREATE TABLE metrics_hyper_local (
	local_area TEXT NOT NULL, 
	issue_type TEXT NOT NULL, 
	volume INTEGER NOT NULL, 
	open_requests INTEGER NOT NULL, 
	avg_ttr REAL, 
	n_ttr INTEGER NOT NULL, 
	avg_ttu REAL, 
	n_ttu INTEGER NOT NULL, 
	closed INTEGER NOT NULL, 
	status_unknown INTEGER NOT NULL, 
	sum_days_to_close INTEGER NOT NULL, 
	sum_seconds_to_update INTEGER NOT NULL, 
	n_negative INTEGER NOT NULL, 
	n_closed_without_date INTEGER NOT NULL, 
	n_never_updated INTEGER NOT NULL, 
	n_update_negative INTEGER NOT NULL, 
	n_update_missing INTEGER NOT NULL, 
	n_static_open INTEGER NOT NULL, 
	as_of TEXT NOT NULL, 
	PRIMARY KEY (local_area, issue_type)
)
 STRICT;
CREATE TABLE metrics_unlocated (
	issue_type TEXT NOT NULL, 
	volume INTEGER NOT NULL, 
	open_requests INTEGER NOT NULL, 
	avg_ttr REAL, 
	n_ttr INTEGER NOT NULL, 
	avg_ttu REAL, 
	n_ttu INTEGER NOT NULL, 
	closed INTEGER NOT NULL, 
	status_unknown INTEGER NOT NULL, 
	sum_days_to_close INTEGER NOT NULL, 
	sum_seconds_to_update INTEGER NOT NULL, 
	n_negative INTEGER NOT NULL, 
	n_closed_without_date INTEGER NOT NULL, 
	n_never_updated INTEGER NOT NULL, 
	n_update_negative INTEGER NOT NULL, 
	n_update_missing INTEGER NOT NULL, 
	n_static_open INTEGER NOT NULL, 
	as_of TEXT NOT NULL, 
	PRIMARY KEY (issue_type)
)
 STRICT;
CREATE TABLE month_ledger (
	dataset TEXT NOT NULL, 
	partition_month TEXT NOT NULL, 
	rows_landed INTEGER NOT NULL, 
	rows_stored INTEGER NOT NULL, 
	rows_quarantined INTEGER NOT NULL, 
	rows_closed INTEGER NOT NULL, 
	latest_change TEXT, 
	rows_unknown_area INTEGER NOT NULL, 
	unknown_areas TEXT NOT NULL, 
	fingerprint TEXT NOT NULL, 
	landed_sha256 TEXT NOT NULL, 
	data_processed TEXT NOT NULL, 
	code_version TEXT NOT NULL, 
	loaded_at TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	unusable_fields TEXT, 
	dates_ahead TEXT, 
	PRIMARY KEY (dataset, partition_month)
)
 STRICT;
CREATE TABLE monthly_series (
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	issue_type TEXT, 
	department TEXT, 
	month TEXT NOT NULL, 
	opened INTEGER NOT NULL, 
	closed_in INTEGER NOT NULL, 
	open_at_end INTEGER, 
	n INTEGER NOT NULL, 
	closed INTEGER NOT NULL, 
	median_days INTEGER, 
	median_low INTEGER, 
	median_high INTEGER, 
	median_state TEXT NOT NULL, 
	n_7 INTEGER NOT NULL, 
	within_7 INTEGER NOT NULL, 
	share_7 REAL, 
	share_7_low REAL, 
	share_7_high REAL, 
	share_7_state TEXT NOT NULL, 
	n_30 INTEGER NOT NULL, 
	within_30 INTEGER NOT NULL, 
	share_30 REAL, 
	share_30_low REAL, 
	share_30_high REAL, 
	share_30_state TEXT NOT NULL, 
	n_90 INTEGER NOT NULL, 
	within_90 INTEGER NOT NULL, 
	share_90 REAL, 
	share_90_low REAL, 
	share_90_high REAL, 
	share_90_state TEXT NOT NULL, 
	provisional TEXT NOT NULL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE open_request_standing (
	request_id TEXT NOT NULL, 
	days_open INTEGER NOT NULL, 
	period TEXT NOT NULL, 
	n INTEGER NOT NULL, 
	followed INTEGER NOT NULL, 
	closed_sooner_share REAL, 
	further_median INTEGER, 
	state TEXT NOT NULL, 
	as_of TEXT NOT NULL, 
	PRIMARY KEY (request_id)
)
 STRICT;
CREATE TABLE outcome_incidence (
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	issue_type TEXT, 
	department TEXT, 
	period TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	outcome_order INTEGER NOT NULL, 
	day INTEGER NOT NULL, 
	n INTEGER NOT NULL, 
	closed_share REAL NOT NULL, 
	closed_share_low REAL, 
	closed_share_high REAL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE outcome_mapping (
	closure_reason TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	outcome_order INTEGER NOT NULL, 
	mapping_version TEXT NOT NULL, 
	seen TEXT NOT NULL, 
	PRIMARY KEY (closure_reason)
)
 STRICT;
CREATE TABLE outcomes (
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	issue_type TEXT, 
	department TEXT, 
	period TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	outcome_order INTEGER NOT NULL, 
	closed_as INTEGER NOT NULL, 
	closed INTEGER NOT NULL, 
	open_requests INTEGER NOT NULL, 
	outcome_share REAL, 
	outcome_share_low REAL, 
	outcome_share_high REAL, 
	state TEXT NOT NULL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE periods (
	period TEXT NOT NULL, 
	opened_from TEXT NOT NULL, 
	opened_to TEXT NOT NULL, 
	as_of TEXT NOT NULL, 
	PRIMARY KEY (period)
)
 STRICT;
CREATE TABLE plans (
	name TEXT NOT NULL, 
	planned_at TEXT NOT NULL, 
	why TEXT NOT NULL, 
	releases TEXT NOT NULL, 
	windows TEXT NOT NULL, 
	PRIMARY KEY (name)
)
 STRICT;
CREATE TABLE portal_months (
	dataset TEXT NOT NULL, 
	partition_month TEXT NOT NULL, 
	rows INTEGER NOT NULL, 
	closed INTEGER NOT NULL, 
	latest_change TEXT, 
	fingerprint TEXT NOT NULL, 
	data_processed TEXT NOT NULL, 
	asked_at TEXT NOT NULL, 
	PRIMARY KEY (dataset, partition_month)
)
 STRICT;
CREATE TABLE portal_releases (
	dataset TEXT NOT NULL, 
	data_processed TEXT NOT NULL, 
	records_count INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	seen_at TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	settled_at TEXT, 
	PRIMARY KEY (dataset, data_processed, records_count)
)
 STRICT;
CREATE TABLE publications (
	published_at TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	sha256 TEXT NOT NULL, 
	bytes INTEGER NOT NULL
)
 STRICT;
CREATE TABLE quality_ledger (
	open_month TEXT NOT NULL, 
	department TEXT NOT NULL, 
	volume INTEGER NOT NULL, 
	n_missing_area INTEGER NOT NULL, 
	n_missing_point INTEGER NOT NULL, 
	n_quarantined INTEGER NOT NULL, 
	n_negative INTEGER NOT NULL, 
	n_closed_without_date INTEGER NOT NULL, 
	n_twins INTEGER NOT NULL, 
	n_repeats INTEGER NOT NULL, 
	n_batch_closed INTEGER NOT NULL, 
	n_obsolete_label INTEGER NOT NULL, 
	n_unmapped_reason INTEGER NOT NULL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE quarantined_requests (
	quarantine_id TEXT NOT NULL, 
	dataset TEXT NOT NULL, 
	partition_month TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	raw_row TEXT NOT NULL, 
	PRIMARY KEY (quarantine_id)
)
 STRICT;
CREATE TABLE reporting_times (
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	issue_type TEXT, 
	department TEXT, 
	period TEXT NOT NULL, 
	weekday INTEGER NOT NULL, 
	hour INTEGER NOT NULL, 
	requests INTEGER NOT NULL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE request_changes (
	change_id INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	request_id TEXT NOT NULL, 
	previous_request_id TEXT, 
	thread_id TEXT NOT NULL, 
	partition_month TEXT NOT NULL, 
	department TEXT NOT NULL, 
	issue_type TEXT NOT NULL, 
	opened_at TEXT NOT NULL, 
	sharing INTEGER NOT NULL, 
	"before" TEXT, 
	"after" TEXT, 
	seen_at TEXT NOT NULL, 
	data_processed TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	PRIMARY KEY (change_id)
)
 STRICT;
CREATE TABLE restorations (
	restored_at TEXT NOT NULL
)
 STRICT;
CREATE TABLE revisions (
	figure TEXT NOT NULL, 
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	issue_type TEXT, 
	department TEXT, 
	lag_days INTEGER NOT NULL, 
	n INTEGER NOT NULL, 
	mean_revision REAL, 
	mean_revision_low REAL, 
	mean_revision_high REAL, 
	mean_absolute REAL, 
	p95_absolute REAL, 
	share_up REAL, 
	by_opened_late REAL, 
	by_closed_late REAL, 
	by_vanished REAL, 
	by_reopened REAL, 
	by_relabelled REAL, 
	by_edited REAL, 
	state TEXT NOT NULL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE schema_versions (
	version INTEGER NOT NULL, 
	upgraded_at TEXT NOT NULL, 
	pipeline_version TEXT NOT NULL, 
	PRIMARY KEY (version)
)
 STRICT;
CREATE TABLE service_requests (
	request_id TEXT NOT NULL, 
	department TEXT NOT NULL, 
	issue_type TEXT NOT NULL, 
	status TEXT, 
	closure_reason TEXT, 
	opened_at TEXT NOT NULL, 
	opened_on TEXT NOT NULL, 
	open_month TEXT NOT NULL, 
	closed_on TEXT, 
	modified_at TEXT, 
	address TEXT, 
	local_area TEXT, 
	channel TEXT, 
	latitude REAL, 
	longitude REAL, 
	days_to_close INTEGER, 
	days_to_update REAL, 
	occurrence INTEGER NOT NULL, 
	partition_month TEXT NOT NULL, 
	PRIMARY KEY (request_id)
)
 STRICT;
CREATE TABLE settling (
	figure TEXT NOT NULL, 
	settles_after_days INTEGER NOT NULL, 
	rule TEXT NOT NULL, 
	n INTEGER NOT NULL, 
	as_of TEXT NOT NULL, 
	PRIMARY KEY (figure)
)
 STRICT;
CREATE TABLE shipments (
	shipped_at TEXT NOT NULL, 
	run_id TEXT NOT NULL, 
	target TEXT NOT NULL, 
	sha256 TEXT NOT NULL
)
 STRICT;
CREATE TABLE speed_on_year (
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	issue_type TEXT, 
	department TEXT, 
	opened_from TEXT NOT NULL, 
	opened_to TEXT NOT NULL, 
	year_before_from TEXT NOT NULL, 
	year_before_to TEXT NOT NULL, 
	horizon_days INTEGER NOT NULL, 
	n INTEGER NOT NULL, 
	n_year_before INTEGER NOT NULL, 
	share_within REAL, 
	share_within_low REAL, 
	share_within_high REAL, 
	share_within_year_before REAL, 
	share_within_year_before_low REAL, 
	share_within_year_before_high REAL, 
	share_change REAL, 
	share_change_low REAL, 
	share_change_high REAL, 
	state TEXT NOT NULL, 
	median_days INTEGER, 
	median_low INTEGER, 
	median_high INTEGER, 
	median_state TEXT NOT NULL, 
	median_year_before_days INTEGER, 
	median_year_before_low INTEGER, 
	median_year_before_high INTEGER, 
	median_year_before_state TEXT NOT NULL, 
	q_value REAL, 
	verdict TEXT, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE time_to_close (
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	issue_type TEXT, 
	department TEXT, 
	period TEXT NOT NULL, 
	volume INTEGER NOT NULL, 
	n INTEGER NOT NULL, 
	closed INTEGER NOT NULL, 
	still_open INTEGER NOT NULL, 
	n_static INTEGER NOT NULL, 
	n_after_as_of INTEGER NOT NULL, 
	n_negative INTEGER NOT NULL, 
	n_closed_without_date INTEGER NOT NULL, 
	followed_days INTEGER, 
	design_effect REAL, 
	median_days INTEGER, 
	median_low INTEGER, 
	median_high INTEGER, 
	median_state TEXT NOT NULL, 
	p75_days INTEGER, 
	p75_low INTEGER, 
	p75_high INTEGER, 
	p75_state TEXT NOT NULL, 
	p90_days INTEGER, 
	p90_low INTEGER, 
	p90_high INTEGER, 
	p90_state TEXT NOT NULL, 
	mean_within_30 REAL, 
	mean_within_30_low REAL, 
	mean_within_30_high REAL, 
	mean_within_90 REAL, 
	mean_within_90_low REAL, 
	mean_within_90_high REAL, 
	mean_closed_only REAL, 
	median_closed_only INTEGER, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE time_to_close_by_weekday (
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	issue_type TEXT, 
	department TEXT, 
	period TEXT NOT NULL, 
	weekday INTEGER NOT NULL, 
	n INTEGER NOT NULL, 
	median_days INTEGER, 
	median_low INTEGER, 
	median_high INTEGER, 
	median_state TEXT NOT NULL, 
	weekdays_differ TEXT NOT NULL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE time_to_close_curves (
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	issue_type TEXT, 
	department TEXT, 
	period TEXT NOT NULL, 
	day INTEGER NOT NULL, 
	at_risk INTEGER NOT NULL, 
	closed_by INTEGER NOT NULL, 
	open_share REAL NOT NULL, 
	open_share_low REAL, 
	open_share_high REAL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE time_to_close_without (
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	issue_type TEXT, 
	department TEXT, 
	period TEXT NOT NULL, 
	left_out TEXT NOT NULL, 
	volume INTEGER NOT NULL, 
	n INTEGER NOT NULL, 
	closed INTEGER NOT NULL, 
	still_open INTEGER NOT NULL, 
	median_days INTEGER, 
	median_low INTEGER, 
	median_high INTEGER, 
	median_state TEXT NOT NULL, 
	p90_days INTEGER, 
	p90_low INTEGER, 
	p90_high INTEGER, 
	p90_state TEXT NOT NULL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE turns (
	number INTEGER NOT NULL, 
	job TEXT NOT NULL, 
	run_id TEXT, 
	host TEXT NOT NULL, 
	pid INTEGER NOT NULL, 
	since TEXT NOT NULL, 
	PRIMARY KEY (number)
)
 STRICT;
CREATE TABLE waiting_times (
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	issue_type TEXT, 
	department TEXT, 
	period TEXT NOT NULL, 
	waited_days INTEGER NOT NULL, 
	followed INTEGER NOT NULL, 
	open_share REAL NOT NULL, 
	further_median INTEGER, 
	further_median_low INTEGER, 
	further_median_high INTEGER, 
	further_median_state TEXT NOT NULL, 
	further_p75 INTEGER, 
	further_p75_low INTEGER, 
	further_p75_high INTEGER, 
	further_p75_state TEXT NOT NULL, 
	further_p90 INTEGER, 
	further_p90_low INTEGER, 
	further_p90_high INTEGER, 
	further_p90_state TEXT NOT NULL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE TABLE year_on_year (
	level TEXT NOT NULL, 
	scope TEXT NOT NULL, 
	local_area TEXT, 
	issue_type TEXT, 
	department TEXT, 
	measure TEXT NOT NULL, 
	days_from TEXT NOT NULL, 
	days_to TEXT NOT NULL, 
	year_before_from TEXT NOT NULL, 
	year_before_to TEXT NOT NULL, 
	requests INTEGER NOT NULL, 
	requests_year_before INTEGER, 
	change_on_year REAL, 
	noise_band REAL, 
	blocks INTEGER NOT NULL, 
	state TEXT NOT NULL, 
	verdict TEXT, 
	q_value REAL, 
	as_of TEXT NOT NULL
)
 STRICT;
CREATE INDEX briefs_by_address ON briefs (month, address);
CREATE INDEX briefs_by_name ON briefs (kind, name, month);
CREATE INDEX deep_readings_by_month ON deep_readings (partition_month, read_at);
CREATE INDEX figure_vintages_by_reference ON figure_vintages (figure, reference);
CREATE INDEX request_changes_by_month ON request_changes (partition_month, kind);
CREATE INDEX request_changes_by_request ON request_changes (request_id);
CREATE INDEX request_changes_by_thread ON request_changes (thread_id);
CREATE INDEX service_requests_by_partition ON service_requests (partition_month);
