import './theme.css';
import './app.ts';

document.body.append(document.createElement('tr-app'));
