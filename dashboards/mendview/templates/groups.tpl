<details id="groups"><summary>As a table</summary><div class="scroll" tabindex="0" role="region" aria-label="Channels of every coupling group"><table>
<caption>Channels of every coupling group, in network order; + restored above the floor</caption>
<thead><tr><th class="left">coupling group</th><th>dense</th><th>floor</th><th>pre-pruned</th><th>{{title}}</th><th>restored</th><th>compared with pre-pruned</th></tr></thead><tbody>
% for change in changes:
<tr><td class="left">{{change.group}}</td><td>{{change.width}}</td><td>{{change.floor}}</td><td>{{change.control}}</td><td>{{change.kept}}</td>
<td>+{{max(0, change.kept - change.floor)}}</td><td>{{words.signed(change.kept - change.control, 0) if change.kept != change.control else "="}}</td></tr>
% end
</tbody></table></div></details>
