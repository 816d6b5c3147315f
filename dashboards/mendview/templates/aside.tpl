% for index, item in enumerate(aside):
<details id="aside-{{index}}"><summary>Candidate of {{"trial %d" % item.number if item.number is not None else "a deleted trial"}}, set aside after {{item.attempts}} attempts</summary><pre tabindex="0">{{item.log or "no log"}}</pre></details>
% end
% for trial in failures:
<details id="failure-{{trial.number}}"><summary>Attempt {{trial.number}} failed <time datetime="{{words.moment(trial.ended)}}">{{words.moment(trial.ended)}}</time></summary><a href="{{base}}trial/{{trial.number}}">the trial</a><pre tabindex="0">{{trial.failed or "no log"}}</pre></details>
% end
% if not aside and not failures:
<p class="note">No failed attempts.</p>
% end
